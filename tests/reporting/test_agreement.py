import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv.reporting.agreement import agreement


@given(seed=st.integers(0, 10_000), dim=st.integers(1, 12))
def test_a_rotation_changes_nothing(seed: int, dim: int):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, dim))
    X = (X - X.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T, bias=True).reshape(dim, dim)).T)  # white
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    found = agreement({"a": X, "b": 3 * X @ rotation + 1})
    assert found[0, 1] == pytest.approx(1, abs=1e-6)


def test_independent_wide_embeddings_do_not_agree():
    """The plain estimate would be about 0.5 here."""
    rng = np.random.default_rng(0)
    found = agreement({"a": rng.normal(size=(200, 300)), "b": rng.normal(size=(200, 300))})
    assert abs(found[0, 1]) < 0.05


def test_unbiased_estimate_by_its_definition():
    """Sums over all distinct i, j, q, r (Song et al., equation 4), on six molecules."""
    from itertools import permutations

    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))

    def kernel(V: np.ndarray) -> np.ndarray:
        V = (V - V.mean(0)) / V.std(0)
        return V @ V.T / V.shape[1]

    def hsic(K: np.ndarray, L: np.ndarray) -> float:
        some = [
            K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(6), 4)
        ]  # fmt: skip
        return float(np.mean(some))

    K, L = kernel(X), kernel(Y)
    expected = hsic(K, L) / np.sqrt(max(hsic(K, K), 0) * max(hsic(L, L), 0))
    assert agreement({"a": X, "b": Y})[1, 0] == pytest.approx(expected)


def test_a_constant_embedding_has_no_agreement():
    found = agreement({"a": np.random.default_rng(0).normal(size=(20, 3)), "b": np.ones((20, 3))})
    assert np.isnan(found[0, 1])

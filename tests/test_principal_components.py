"""The view of a teacher, against scikit-learn's principal components, and that it cannot hold more than the teacher."""

import math

import numpy as np
import pytest
import torch

from molmv.errors import ConfigError
from molmv.principal_components import PrincipalComponents


def values(likelihood: str, rows: int = 400, dim: int = 12) -> torch.Tensor:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, dim)) + 0.3 * rng.normal(size=(rows, dim))
    if likelihood == "bernoulli":
        drawn = (drawn > 0).astype(float)
    if likelihood == "count":
        drawn = np.floor(np.exp(drawn / 2))
    return torch.from_numpy(drawn.astype(np.float32))


@pytest.mark.parametrize("likelihood", ["bernoulli", "count"])
def test_components_are_those_of_scikit_learn(likelihood: str):
    decomposition = pytest.importorskip("sklearn.decomposition")
    fit, others = values(likelihood)[:300], values(likelihood)[300:]
    view = PrincipalComponents(fit, likelihood, most=4)
    prepared = [x.log1p().numpy() if likelihood == "count" else x.numpy() for x in (fit, others)]
    reference = decomposition.PCA(4, svd_solver="full").fit(prepared[0])
    expected = reference.transform(prepared[1]) / np.sqrt(reference.explained_variance_ * 299 / 300)
    found = view.transform(others).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=2e-3, atol=2e-3)
    assert view.share == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-3)


def test_unit_of_a_continuous_column_does_not_matter():
    fit = values("gaussian")
    unit = 10.0 ** torch.arange(-6, 6)
    first, second = (PrincipalComponents(x, "gaussian", 3).transform(x) for x in (fit, fit * unit))
    torch.testing.assert_close(first.abs(), second.abs(), rtol=1e-2, atol=1e-2)


def test_components_have_unit_variance_and_do_not_correlate():
    fit = values("gaussian")
    components = PrincipalComponents(fit, "gaussian", 8).transform(fit)
    torch.testing.assert_close(components.T @ components / len(fit), torch.eye(8), rtol=0, atol=1e-3)


def test_there_are_no_more_than_the_teacher_has():
    fit = torch.randn(300, 2).repeat(1, 5)
    view = PrincipalComponents(fit, "gaussian", 64)
    assert view.dim == 2
    assert view.share == pytest.approx(1)
    assert view.most_nats(0.5) == pytest.approx(math.log(5))
    assert view.most_nats(0.0) == math.inf


def test_the_random_state_is_left_alone_and_the_seed_decides():
    before = torch.get_rng_state()
    first, second = (PrincipalComponents(values("count"), "count", 4, seed=3).transform(values("count")) for _ in "ab")
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_impossible_options():
    with pytest.raises(ConfigError, match="at least one component"):
        PrincipalComponents(values("count"), "count", 0)
    with pytest.raises(ConfigError, match="column that varies"):
        PrincipalComponents(torch.ones(50, 3), "gaussian")

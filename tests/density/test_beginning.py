"""Where linear heads begin: against scikit-learn."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from molmv.density.beginning import PENALTY, linear_discriminant, linear_regression


def sample(seed: int, rows: int = 400, width: int = 4, narrowest: float = 0) -> torch.Tensor:
    """Normal rows, mixed at random, but spread by at least so much in every direction."""
    generator = torch.Generator().manual_seed(seed)
    z, mixing = torch.randn(rows, width, generator=generator), torch.randn(width, width, generator=generator)
    U, spread, V = torch.linalg.svd(mixing)
    return z @ (U * spread.clamp(min=narrowest) @ V) + 5


@given(st.integers(0, 1000))
def test_regression_is_ridge(seed: int):
    z = sample(seed)
    t = torch.stack([z[:, 0] * z[:, 1], z.sum(1), torch.arange(len(z)) % 7], dim=1)
    M, b = linear_regression(z, t)
    penalty = PENALTY * len(z) * float((z - z.mean(0)).square().mean())
    expected = Ridge(alpha=penalty).fit(z.double().numpy(), t.double().numpy())
    np.testing.assert_allclose(M.numpy(), expected.coef_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(b.numpy(), expected.intercept_, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 1000), st.floats(-1, 1))
def test_discriminant_is_fishers(seed: int, threshold: float):
    """Where the penalty hardly counts: not in directions in which the rows hardly differ."""
    z = sample(seed, narrowest=0.5)
    noise = torch.randn(len(z), generator=torch.Generator().manual_seed(seed + 1))
    score = (z - z.mean(0))[:, 0]
    bits = (score / score.std() + noise > threshold).float()[:, None]
    M, b = linear_discriminant(z, bits)
    odds = (z.double() @ M.double().T + b)[:, 0].numpy()
    expected = LinearDiscriminantAnalysis().fit(z.double().numpy(), bits[:, 0].numpy())
    found = expected.decision_function(z.double().numpy())
    assert np.corrcoef(odds, found)[0, 1] > 0.999
    assert np.abs(odds - found).mean() < 0.05


def test_a_bit_that_is_never_on_stays_finite():
    M, b = linear_discriminant(sample(0), torch.zeros(400, 1))
    assert M.isfinite().all()
    assert -20 < b.item() < -5

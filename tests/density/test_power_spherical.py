import math

import pytest
import torch
from scipy import stats

from molmv.density import PowerSpherical, PowerSphericalDensity
from molmv.errors import ConfigError
from molmv.testing.density import SphereDensitySuite


class TestPowerSpherical(SphereDensitySuite):
    density = PowerSphericalDensity


@pytest.mark.parametrize("dim", [3, 64, 2048])
def test_a_zero_mean_is_the_uniform_density(dim):
    q = PowerSpherical(torch.ones(1, dim), torch.zeros(1))
    log_area = math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)
    assert q.log_prob(torch.randn(1, dim)).item() == pytest.approx(-log_area, rel=1e-6)
    assert q.entropy().item() == pytest.approx(log_area, rel=1e-6)


@pytest.mark.parametrize("dim", [8, 512])
def test_the_cosine_is_a_beta_variable(dim):
    """Its marginal is known: (1 + cosine) / 2 follows a Beta law (De Cao and Aziz, eq. 6)."""
    torch.manual_seed(0)
    q = PowerSpherical(torch.randn(1, dim), torch.tensor([0.6]))
    samples = q.sample((5000,))[:, 0]
    assert q.support.check(samples).all()
    cosine = samples @ (q.mean[0] / q.mean[0].norm())
    beta = (dim - 1) / 2
    law = stats.beta(beta + 0.6 / 0.4 * (dim - 1), beta)
    assert stats.kstest((1 + cosine.numpy()) / 2, law.cdf).pvalue > 1e-3
    torch.testing.assert_close(samples.mean(0), q.mean[0], rtol=0, atol=5 / math.sqrt(5000 * dim) + 1e-3)


def test_the_length_of_a_value_does_not_matter():
    q, value = PowerSpherical(torch.randn(2, 5), torch.tensor([0.5, 0.9])), torch.randn(2, 5)
    torch.testing.assert_close(q.log_prob(value), q.log_prob(7 * value))


def test_the_opposite_direction_has_a_finite_loss():
    direction = torch.randn(1, 512, requires_grad=True)
    score = PowerSpherical(direction, torch.tensor([0.99])).log_prob(-direction.detach())
    score.backward()
    assert score.isfinite()
    assert direction.grad.isfinite().all()


def test_one_dimension_has_no_directions():
    with pytest.raises(ConfigError, match="dim=1"):
        PowerSphericalDensity(4, 1)

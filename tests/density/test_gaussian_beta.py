import pytest
import torch

from molmv.density import BetaGaussianDensity, DiagonalGaussian
from molmv.errors import ConfigError
from molmv.testing.density import RealDensitySuite


class TestBetaGaussian(RealDensitySuite):
    density = BetaGaussianDensity
    begins = True
    supports_noise_gradient = False  # weighted on purpose


def mean_gradient(beta, noise=0.3):
    torch.manual_seed(0)
    mean = torch.randn(4, 3, requires_grad=True)
    scale, value = torch.rand(4, 3) + 0.2, torch.randn(4, 3)
    q = DiagonalGaussian(mean, scale, noise, beta)
    score = q.expected_log_prob(value)
    (gradient,) = torch.autograd.grad(-score.sum(), mean)
    return score.detach(), gradient, q.variance.detach(), (mean - value).detach()


def test_the_value_is_the_gaussians_and_the_gradient_is_weighted():
    plain_score, plain_gradient, variance, _ = mean_gradient(0.0)
    score, gradient, _, _ = mean_gradient(0.5)
    torch.testing.assert_close(score, plain_score)
    torch.testing.assert_close(gradient, plain_gradient * variance**0.5)


def test_beta_one_gives_the_mean_the_gradient_of_the_squared_error():
    _, gradient, _, error = mean_gradient(1.0)
    torch.testing.assert_close(gradient, error)


def test_beta_is_a_share():
    with pytest.raises(ConfigError, match=r"beta <= 1, got 1\.5"):
        BetaGaussianDensity(4, 2, beta=1.5)

from typing import ClassVar

import pytest
import torch
from torch.distributions import LowRankMultivariateNormal

from molmv.density import LowRankGaussian, LowRankGaussianDensity
from molmv.errors import ConfigError
from molmv.testing.density import RealDensitySuite


class TestLowRankGaussian(RealDensitySuite):
    density = LowRankGaussianDensity
    options: ClassVar = {"rank": 2}


def parts(noise):
    torch.manual_seed(0)
    mean, scale = torch.randn(3, 7), torch.rand(3, 7) + 0.2
    factor, reach = torch.randn(7, 2), torch.rand(3, 2)
    oracle = LowRankMultivariateNormal(mean, factor * reach[:, None], scale**2 + noise**2)
    return LowRankGaussian(mean, scale, factor, reach, noise), oracle


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_agrees_with_torchs(noise):
    q, oracle = parts(noise)
    value = torch.randn(5, 3, 7)
    torch.testing.assert_close(q.log_prob(value), oracle.log_prob(value))
    torch.testing.assert_close(q.entropy(), oracle.entropy())
    torch.testing.assert_close(q.variance, oracle.variance)
    torch.testing.assert_close(q.clean.variance, oracle.variance - noise**2)


def test_expected_log_prob_is_the_closed_form_with_the_full_inverse():
    q, oracle = parts(0.5)
    value = torch.randn(3, 7)
    trace = torch.linalg.inv(oracle.covariance_matrix).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(q.expected_log_prob(value), oracle.log_prob(value) - 0.5 * 0.25 * trace)


def test_samples_have_the_covariance():
    q, oracle = parts(0.5)
    samples = q.sample((100_000,))[:, 1]
    torch.testing.assert_close(torch.cov(samples.T), oracle.covariance_matrix[1], rtol=0.03, atol=0.03)


def test_finds_correlated_errors_that_a_diagonal_cannot():
    torch.manual_seed(0)
    shared = torch.randn(2000, 1)
    data = shared + 0.1 * torch.randn(2000, 4)
    density = LowRankGaussianDensity(1, 4, rank=1, noise=0.0, depth=0)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.03)
    for _ in range(400):
        optimiser.zero_grad()
        (-density(torch.zeros(2000, 1)).log_prob(data).mean()).backward()
        optimiser.step()
    q = density(torch.zeros(1, 1))
    best = torch.distributions.MultivariateNormal(data.mean(0), torch.cov(data.T)).log_prob(data).mean()
    assert q.log_prob(data[:, None]).mean() > best - 0.1


def test_rank_zero_is_refused():
    with pytest.raises(ConfigError, match="rank >= 1, got 0"):
        LowRankGaussianDensity(4, 2, rank=0)

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from molmv.density import DiagonalGaussian, GaussianDensity
from molmv.density.gaussian import SCALE_FLOOR, bounded_scale
from molmv.testing.density import RealDensitySuite


class TestGaussian(RealDensitySuite):
    density = GaussianDensity
    begins = True


class TestPaperGaussian(RealDensitySuite):
    density = GaussianDensity
    begins = True
    options: ClassVar = {"noise": 0.0}


def test_log_prob_and_entropy_are_scipys():
    rng = np.random.default_rng(0)
    mean, scale, value = rng.normal(size=(3, 4)), rng.uniform(0.1, 2, size=(3, 4)), rng.normal(size=(3, 4))
    q = DiagonalGaussian(torch.tensor(mean), torch.tensor(scale), noise=0.5)
    oracle = stats.norm(mean, np.hypot(scale, 0.5))
    np.testing.assert_allclose(q.log_prob(torch.tensor(value)), oracle.logpdf(value).sum(-1))
    np.testing.assert_allclose(q.entropy(), oracle.entropy().sum(-1))
    np.testing.assert_allclose(q.stddev, oracle.std())
    np.testing.assert_allclose(q.clean.stddev, scale)


@settings(deadline=None, max_examples=25)
@given(value=st.floats(-5, 5), scale=st.floats(0.05, 3), noise=st.floats(0.05, 3))
def test_expected_log_prob_is_the_integral_over_the_noise(value, scale, noise):
    q = DiagonalGaussian(torch.zeros(1, 1).double(), torch.full((1, 1), scale).double(), noise)
    oracle, _ = integrate.quad(
        lambda e: stats.norm.pdf(e, 0, noise) * stats.norm.logpdf(value + e, 0, math.hypot(scale, noise)),
        -12 * noise,
        12 * noise,
        epsabs=1e-10,
    )
    assert q.expected_log_prob(torch.full((1, 1), value).double()).item() == pytest.approx(oracle, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("error", [0.05, 0.3, 1.5])
def test_the_best_scale_is_the_error_at_any_noise(error):
    scales = torch.linspace(0.01, 3, 3000)[:, None]
    q = DiagonalGaussian(torch.zeros_like(scales), scales, noise=0.5)
    best = scales[q.expected_log_prob(torch.full_like(scales, error)).argmax()].item()
    assert best == pytest.approx(error, abs=2e-3)
    # The clean target in the noisy density would not tell an error below the noise from none.
    floored = scales[q.log_prob(torch.full_like(scales, error)).argmax()].item()
    assert floored == pytest.approx(math.sqrt(max(error**2 - 0.25, 0)), abs=1.1e-2)


def test_information_of_a_dimension_is_bounded_by_the_noise():
    """A perfect prediction of a standardised Gaussian dimension is worth at most half of log(1 + 1 / noise**2)."""
    noise = 0.5
    values = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    perfect = DiagonalGaussian(values, torch.full_like(values, 1e-6), noise)
    marginal = DiagonalGaussian(torch.zeros_like(values), torch.ones_like(values), noise)
    gain = (perfect.expected_log_prob(values) - marginal.expected_log_prob(values)).mean().item()
    assert gain == pytest.approx(0.5 * math.log(1 + 1 / noise**2), abs=5e-3)


def test_the_limit_of_large_noise_is_the_squared_error():
    """Its gradient in the mean, times the noise variance, is that of half the squared error."""
    mean = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    value, noise = torch.randn(4, 3, dtype=torch.float64), 1e4
    q = DiagonalGaussian(mean, torch.ones(4, 3, dtype=torch.float64), noise)
    (gradient,) = torch.autograd.grad(-q.expected_log_prob(value).sum(), mean)
    torch.testing.assert_close(gradient * noise**2, (mean - value).detach(), rtol=1e-6, atol=0)


def test_scale_is_bounded_below_and_smooth():
    raw = torch.linspace(-100, 100, 2001, dtype=torch.float64, requires_grad=True)
    scale = bounded_scale(raw)
    (slope,) = torch.autograd.grad(scale.sum(), raw)
    assert scale.min() >= SCALE_FLOOR
    assert scale.isfinite().all()
    assert ((slope >= 0) & (slope <= 1)).all()
    assert bounded_scale(torch.zeros(())).item() == pytest.approx(1, abs=0.02)


def test_a_constant_dimension_has_a_finite_loss():
    density = GaussianDensity(4, 2, noise=0.0, hidden=16)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        loss = -density(torch.ones(8, 4)).log_prob(torch.zeros(8, 2)).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() > 2 * (math.log(SCALE_FLOOR) + 0.5 * math.log(2 * math.pi)) - 1e-3

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from molmv.errors import ConfigError, ShapeError, UnknownNameError
from molmv.information import estimate_information, information_of

ROWS = 20_000


def correlated(dim, correlation, seed=0):
    """Jointly Gaussian z and t of known information, with t turned so that no axis of it matches one of z."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(ROWS, dim, generator=generator)
    own = torch.randn(ROWS, dim, generator=generator)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0]
    t = (correlation * z + math.sqrt(1 - correlation**2) * own) @ turn
    return z, 3 * t + 1, -0.5 * dim * math.log(1 - correlation**2)


GRID = list(itertools.product([2, 4, 8, 16, 32, 64], [0.1, 0.3, 0.5, 0.7, 0.9, 0.95]))
QUICK = [(2, 0.1), (2, 0.95)]


@pytest.mark.parametrize(
    ("dim", "correlation"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in GRID],
)
def test_gaussian_data_against_the_closed_form(dim, correlation):
    z, t, truth = correlated(dim, correlation)
    found = estimate_information(z, t, noise=0.0)
    assert found.nats == pytest.approx(truth, abs=max(0.1, 0.05 * truth))
    assert found.low < found.nats < found.high
    assert found.rows == ROWS // 10


def test_noise_makes_the_information_finite():
    """T = Z: through noise the information is half of log(1 + 1 / noise²) a dimension."""
    z = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
    found = estimate_information(z, z, noise=0.5)
    assert found.nats == pytest.approx(1.5 * math.log(5), abs=0.1)


@pytest.mark.parametrize("dim", [4, *(pytest.param(dim, marks=pytest.mark.slow) for dim in (2, 8, 16, 32, 64))])
def test_independent_data_holds_nothing(dim):
    generator = torch.Generator().manual_seed(1)
    z, t = torch.randn(ROWS, dim, generator=generator), torch.randn(ROWS, dim, generator=generator)
    assert abs(estimate_information(z, t, noise=0.0).nats) <= 0.05


def test_independent_data_that_is_not_gaussian_holds_nothing():
    """Four clusters: a marginal poorer than the conditional would find information where there is none."""
    generator = torch.Generator().manual_seed(2)
    t = 4.0 * torch.randint(0, 2, (ROWS, 2), generator=generator) + torch.randn(ROWS, 2, generator=generator)
    assert abs(estimate_information(torch.randn(ROWS, 3, generator=generator), t, noise=0.0).nats) <= 0.05


def test_what_no_regression_sees():
    """T = Z², uncorrelated with Z; the truth by quadrature of the density of T + noise."""
    noise = 0.3
    z = 4 * torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(3)) - 2
    grid, u = np.linspace(-2, 6, 3001), np.linspace(-2, 2, 2001)
    density = stats.norm.pdf(grid[:, None], u[None] ** 2, noise).mean(1)
    truth = -np.trapezoid(density * np.log(density), grid) - stats.norm(0, noise).entropy()
    assert estimate_information(z, z**2, noise=noise).nats == pytest.approx(truth, abs=0.1)


def test_bits_against_enumeration():
    """Three dependent bits and a student of four values: the exact sum over all joint values."""
    rng = np.random.default_rng(4)
    joint = rng.dirichlet(np.full(8 * 4, 0.3)).reshape(8, 4)
    truth = stats.entropy(joint.sum(0)) + stats.entropy(joint.sum(1)) - stats.entropy(joint.ravel())
    drawn = rng.choice(32, size=ROWS // 2, p=joint.ravel())
    bits = torch.tensor(list(itertools.product([0, 1], repeat=3)))[drawn // 4]
    z = torch.nn.functional.one_hot(torch.tensor(drawn % 4), 4)
    found = estimate_information(z, bits, likelihood="bernoulli", components=8)
    assert found.nats == pytest.approx(truth, abs=max(0.05, 0.05 * truth))


def test_the_state_of_the_generator_is_left_alone_and_the_seed_decides():
    z, t, _ = correlated(2, 0.5)
    before = torch.get_rng_state()
    first, second = (estimate_information(z[:1000], t[:1000], epochs=1, seed=5) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second


def test_information_of_is_a_mean_with_its_interval():
    rng = np.random.default_rng(0)
    conditional, marginal = rng.normal(size=500), rng.normal(size=500) - 1
    found = information_of(torch.tensor(conditional), torch.tensor(marginal))
    low, high = stats.norm.interval(0.95, (conditional - marginal).mean(), stats.sem(conditional - marginal))
    assert (found.nats, found.rows) == (pytest.approx((conditional - marginal).mean()), 500)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wrong_input():
    z = torch.randn(200, 2)
    with pytest.raises(ShapeError, match=r"\(200, 2\) and \(199, 2\)"):
        estimate_information(z, z[1:])
    with pytest.raises(ConfigError, match="at least 100 rows"):
        estimate_information(z[:99], z[:99])
    with pytest.raises(ConfigError, match="finite"):
        estimate_information(z, torch.full((200, 2), torch.nan))
    with pytest.raises(UnknownNameError, match="'gauss'"):
        estimate_information(z, z, likelihood="gauss")
    with pytest.raises(ShapeError, match=r"\(3,\) and \(2,\)"):
        information_of(torch.zeros(3), torch.zeros(2))

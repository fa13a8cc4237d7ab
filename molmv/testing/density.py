"""The life of a density, as tests to inherit.

A new density is tested by one class in a test file::

    class TestMyDensity(RealDensitySuite):
        density = MyDensity

Pick the suite by what the density is on: reals, bits, counts or the sphere. The oracles are quadrature, counting
and finite differences, never the density's own code.
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import normalize

from molmv.density import Density
from molmv.errors import ConfigError, ShapeError

IN_DIM = 5
#: Kolmogorov-Smirnov bound on sqrt(n) * distance: passed by 99.9 % of correct samplers; the seed is fixed.
KS_BOUND = 1.95


class DensitySuite:
    """What every density does, whatever it is on; inherit one of the four below."""

    density: ClassVar[type[Density]]
    options: ClassVar[dict[str, Any]] = {}
    #: Switch off for a score that is no density: its ``log_prob`` does not integrate to one.
    supports_density: ClassVar[bool] = True
    #: Whether a linear head can begin at a regression on embeddings that are good already.
    begins: ClassVar[bool] = False
    #: Dimensions in which integrating over everything is cheap; the first has a one-dimensional support.
    small_dims: ClassVar[tuple[int, int]] = (1, 2)

    def targets(self, rows: int, dim: int) -> Tensor:
        """Some values the density is for, (rows, dim)."""
        raise NotImplementedError

    def told(self, z: Tensor, dim: int) -> Tensor:
        """Values that embeddings (rows, IN_DIM) tell all about, (rows, dim)."""
        return self.targets(len(z), dim)

    def support(self, dim: int) -> tuple[Tensor, Tensor]:
        """Points of the whole support (points, dim) and the measure of each (points,), in one of ``small_dims``."""
        raise NotImplementedError

    def coordinate(self, points: Tensor) -> Tensor:
        """Position (points,) on the one-dimensional support, increasing along :meth:`support`."""
        return points[:, 0]

    @pytest.fixture(autouse=True)
    def _seed(self) -> None:
        torch.manual_seed(0)

    def make(self, dim: int, **options: Any) -> Density:
        return self.density(IN_DIM, dim, **{"hidden": 16, "depth": 1, **self.options, **options})

    def mass(self, dim: int) -> tuple[Any, Tensor, Tensor]:
        """A distribution for one row, in float64, the points of its support, and its probability mass at each."""
        q = self.make(dim).double()(torch.randn(1, IN_DIM, dtype=torch.float64))
        points, measure = self.support(dim)
        return q, points, q.log_prob(points[:, None])[:, 0].detach().exp() * measure

    @pytest.mark.parametrize("depth", [0, 1, 2])
    @pytest.mark.parametrize("rows", [1, 4])
    def test_shapes(self, depth: int, rows: int) -> None:
        q = self.make(6, depth=depth)(torch.randn(rows, IN_DIM))
        assert (q.batch_shape, q.event_shape) == ((rows,), (6,))
        assert q.log_prob(self.targets(rows, 6)).shape == (rows,)
        assert q.log_prob(self.targets(rows, 6).expand(3, rows, 6)).shape == (3, rows)
        assert q.sample().shape == (rows, 6)
        assert q.sample((3,)).shape == (3, rows, 6)
        assert q.mean.shape == (rows, 6)

    @pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
    def test_gradients_are_finite(self, size: float) -> None:
        density = self.make(6, depth=0)
        z = (size * torch.randn(8, IN_DIM)).requires_grad_()
        loss = -density(z).log_prob(self.targets(8, 6)).sum()
        loss.backward()
        assert loss.isfinite()
        for parameter in (z, *density.parameters()):
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()

    def test_gradient_is_the_finite_difference(self) -> None:
        density = self.make(3).double()
        names, parameters = zip(*density.named_parameters(), strict=True)
        targets = self.targets(2, 3).double()

        def scores(z: Tensor, *values: Tensor) -> Tensor:
            q = functional_call(density, dict(zip(names, values, strict=True)), (z,))
            log_prob: Tensor = q.log_prob(targets)
            if not self.supports_noise_gradient:
                return log_prob
            return torch.stack([log_prob, q.expected_log_prob(targets)])

        z = torch.randn(2, IN_DIM, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(scores, (z, *parameters))

    @property
    def supports_noise_gradient(self) -> bool:
        """Whether ``expected_log_prob`` exists, is deterministic, and has the gradient of its value."""
        return self.density.takes_noise

    def test_state_dict_round_trip(self) -> None:
        first, second = self.make(6), self.make(6)
        second.load_state_dict(first.state_dict())
        z, targets = torch.randn(4, IN_DIM), self.targets(4, 6)
        assert torch.equal(first(z).log_prob(targets), second(z).log_prob(targets))

    def test_begins_at_a_regression(self) -> None:
        density, z = self.make(6, depth=0), 3 + torch.randn(2000, IN_DIM)
        values = self.told(z, 6)
        before, random = copy.deepcopy(density.state_dict()), density(z)
        assert density.begin(z, values) == self.begins
        if not self.begins:
            assert all(torch.equal(value, before[name]) for name, value in density.state_dict().items())
            return
        assert density(z).log_prob(values).mean() > random.log_prob(values).mean()
        told = 1 - (density(z).mean - values).square().mean(0) / values.var(0)
        assert told.min() > 0.7

    def test_a_head_with_blocks_begins_as_it_is(self) -> None:
        density, z = self.make(6, depth=1), torch.randn(50, IN_DIM)
        before = copy.deepcopy(density.state_dict())
        assert not density.begin(z, self.told(z, 6))
        assert all(torch.equal(value, before[name]) for name, value in density.state_dict().items())

    def test_autocast_reaches_the_products_and_not_the_distribution(self) -> None:
        density, z, targets = self.make(6), torch.randn(4, IN_DIM), self.targets(4, 6)
        exact = density(z).log_prob(targets)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = density.readout(density.trunk(z))
            q = density(z)
        assert outputs.dtype == torch.bfloat16
        expected = density.read(outputs.float()).log_prob(targets)
        torch.testing.assert_close(q.log_prob(targets), expected)
        torch.testing.assert_close(expected, exact, rtol=0.05, atol=0.1)

    def test_wrong_shapes_and_sizes_are_refused(self) -> None:
        with pytest.raises(ShapeError, match=rf"\(batch, {IN_DIM}\), got \(4, 3\)"):
            self.make(6)(torch.zeros(4, 3))
        with pytest.raises(ConfigError, match="dim=0"):
            self.make(0)
        with pytest.raises(ConfigError, match="depth=-1"):
            self.make(6, depth=-1)

    def test_samples_are_in_the_support(self) -> None:
        q = self.make(6)(torch.randn(4, IN_DIM))
        samples = q.sample((50,))
        assert q.support.check(samples).all()
        assert q.log_prob(samples).isfinite().all()

    @pytest.mark.parametrize("which", [0, 1])
    def test_integrates_to_one(self, which: int) -> None:
        self._skip_scores()
        _, _, mass = self.mass(self.small_dims[which])
        assert mass.sum().item() == pytest.approx(1, abs=1e-2)

    def test_samples_follow_the_density(self) -> None:
        """Kolmogorov-Smirnov, against the integrated density."""
        self._skip_scores()
        q, points, mass = self.mass(self.small_dims[0])
        samples = self.coordinate(q.sample((20_000,))[:, 0]).sort().values
        # Half a step beyond each point: between two points the integrated density is only known up to their mass.
        where = self.coordinate(points)
        edges = torch.cat([(where[1:] + where[:-1]) / 2, where[-1:] + 1])
        empirical = torch.searchsorted(samples, edges, right=True) / len(samples)
        distance = (empirical - mass.cumsum(0)).abs().max()
        assert distance.item() * math.sqrt(len(samples)) < KS_BOUND

    def test_sample_moments_are_those_of_the_density(self) -> None:
        """Mean, products and entropy of two dimensions: what a wrong dependence between them would change."""
        self._skip_scores()
        q, points, mass = self.mass(self.small_dims[1])
        samples = q.sample((40_000,))
        for statistic in (
            lambda x: x[..., 0].tanh(),
            lambda x: (x[..., 0] * x[..., 1]).tanh(),
            lambda x: (x[..., 0] - x[..., 1]).tanh(),
            lambda x: q.log_prob(x if x.ndim == 3 else x[:, None])[:, 0],
        ):
            drawn = statistic(samples).detach().flatten()
            expected = (statistic(points).detach().nan_to_num() * mass).sum() / mass.sum()
            error = drawn.std() / math.sqrt(len(drawn))
            assert abs(drawn.mean() - expected) < 4.5 * error + 1e-6

    def test_closed_forms_agree_with_integration(self) -> None:
        self._skip_scores()
        q, points, mass = self.mass(self.small_dims[1])
        torch.testing.assert_close(q.mean[0].detach(), mass @ points, rtol=1e-2, atol=1e-2)
        try:
            entropy = q.entropy()
        except NotImplementedError:
            return
        found = -(torch.special.xlogy(mass, mass) - mass * (self.support(self.small_dims[1])[1]).log()).sum()
        assert entropy.item() == pytest.approx(found.item(), abs=2e-2)

    def _skip_scores(self) -> None:
        if not self.supports_density:
            pytest.skip("a score, not a density")


class RealDensitySuite(DensitySuite):
    """For densities on real vectors."""

    def targets(self, rows: int, dim: int) -> Tensor:
        return 3 * torch.randn(rows, dim)

    def told(self, z: Tensor, dim: int) -> Tensor:
        return z @ torch.randn(IN_DIM, dim) + 2 + 0.1 * torch.randn(len(z), dim)

    def support(self, dim: int) -> tuple[Tensor, Tensor]:
        # x = sinh(u) reaches far into heavy tails.
        u = torch.linspace(-10, 10, {1: 20_001, 2: 801}[dim], dtype=torch.float64)
        points = torch.cartesian_prod(*[u.sinh()] * dim).reshape(-1, dim)
        step = torch.cartesian_prod(*[u.cosh() * (u[1] - u[0])] * dim).reshape(-1, dim)
        return points, step.prod(-1)

    def test_seen_through_noise(self) -> None:
        """``expected_log_prob`` is the mean of ``log_prob`` over the noise, and equal to it without noise."""
        if not self.density.takes_noise:
            pytest.skip("sees its teacher without noise")
        z, targets = torch.randn(4, IN_DIM), self.targets(4, 6)
        noise = 0.7
        q = self.make(6, noise=noise)(z)
        draws = q.log_prob(targets + noise * torch.randn(20_000, 4, 6)).detach()
        expected = torch.stack([q.expected_log_prob(targets).detach() for _ in range(500)])
        error = (draws.var(0) / len(draws) + expected.var(0) / len(expected)).sqrt()
        assert ((draws.mean(0) - expected.mean(0)).abs() < 4.5 * error).all()
        clean = self.make(6, noise=0.0)(z)
        assert torch.equal(clean.expected_log_prob(targets), clean.log_prob(targets))

    def test_impossible_noise_is_refused(self) -> None:
        if not self.density.takes_noise:
            pytest.skip("sees its teacher without noise")
        for noise in (-0.1, math.inf, math.nan):
            with pytest.raises(ConfigError, match="noise"):
                self.make(6, noise=noise)


class BitDensitySuite(DensitySuite):
    """For densities on vectors of bits."""

    def targets(self, rows: int, dim: int) -> Tensor:
        return torch.randint(0, 2, (rows, dim)).float()

    def told(self, z: Tensor, dim: int) -> Tensor:
        return ((z - 3) @ torch.randn(IN_DIM, dim) > torch.linspace(-1, 2, dim)).float()

    def support(self, dim: int) -> tuple[Tensor, Tensor]:
        points = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * dim).reshape(-1, dim)
        return points, torch.ones(len(points), dtype=torch.float64)


class CountDensitySuite(DensitySuite):
    """For densities on vectors of counts."""

    def targets(self, rows: int, dim: int) -> Tensor:
        return torch.randint(0, 30, (rows, dim)).float()

    def support(self, dim: int) -> tuple[Tensor, Tensor]:
        counts = torch.arange({1: 2000, 2: 200}[dim], dtype=torch.float64)
        points = torch.cartesian_prod(*[counts] * dim).reshape(-1, dim)
        return points, torch.ones(len(points), dtype=torch.float64)


class SphereDensitySuite(DensitySuite):
    """For densities on unit vectors."""

    small_dims = (2, 3)

    def targets(self, rows: int, dim: int) -> Tensor:
        return normalize(torch.randn(rows, dim, dtype=torch.float64), dim=-1).float()

    def support(self, dim: int) -> tuple[Tensor, Tensor]:
        if dim == 2:
            angle = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)[:-1]
            return torch.stack([angle.cos(), angle.sin()], dim=1), torch.full_like(angle, 2 * math.pi / len(angle))
        # Rings of equal height have equal area (Archimedes).
        height = (torch.arange(400, dtype=torch.float64) + 0.5) / 200 - 1
        turn = torch.arange(400, dtype=torch.float64) * (2 * math.pi / 400)
        height, turn = torch.cartesian_prod(height, turn).unbind(1)
        radius = (1 - height.square()).sqrt()
        points = torch.stack([radius * turn.cos(), radius * turn.sin(), height], dim=1)
        return points, torch.full_like(height, 4 * math.pi / len(height))

    def coordinate(self, points: Tensor) -> Tensor:
        return torch.atan2(points[:, 1], points[:, 0])

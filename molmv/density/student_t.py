r"""Independent Student-t variables, for teachers with heavy tails (descriptors).

.. math:: \log q(\tilde t \mid z)
          = \sum_i \log \mathrm{St}\Big(\frac{\tilde t_i - \mu_i(z)}{\tau_i(z)}; \nu_i\Big) - \log \tau_i(z),
          \qquad \tau_i^2 = \sigma_0^2 + s_i^2(z)

The degrees of freedom are one learnt number a dimension, above two, so that the variance is finite. The noise of
:mod:`molmv.density.gaussian` enters as a floor of the scale and as the noise that the target carries. The mean over
it is taken by Gauss-Hermite quadrature in each dimension: the integrand varies slowly, as the scale is never below the
noise.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Distribution, StudentT, constraints
from torch.nn.functional import softplus
from torch.types import _size
from torch.utils.checkpoint import checkpoint

from molmv.density.base import Density
from molmv.density.gaussian import begin_mean_and_scale, bounded_scale, checked_noise

#: Below two the variance would be infinite.
SMALLEST_DF = 2.0
#: Nodes and weights of five-point Gauss-Hermite quadrature, for the standard normal.
_OUTER, _INNER = math.sqrt(5 + math.sqrt(10)), math.sqrt(5 - math.sqrt(10))
NODES = (-_OUTER, -_INNER, 0.0, _INNER, _OUTER)
_OUTER_WEIGHT, _INNER_WEIGHT = (7 - 2 * math.sqrt(10)) / 60, (7 + 2 * math.sqrt(10)) / 60
NODE_WEIGHTS = (_OUTER_WEIGHT, _INNER_WEIGHT, 8 / 15, _INNER_WEIGHT, _OUTER_WEIGHT)


class StudentTVector(Distribution):
    """Independent Student-t variables of a teacher plus noise.

    Args:
        mean: (batch, dim).
        scale: (batch, dim), of the clean teacher, positive.
        df: (dim,), degrees of freedom, above two.
        noise: standard deviation of the noise that ``log_prob`` and ``sample`` include.

    Example:
        >>> q = StudentTVector(torch.zeros(2, 3), torch.ones(2, 3), torch.full((3,), 4.0))
        >>> q.variance[0], q.log_prob(torch.zeros(2, 3)).shape
        (tensor([2., 2., 2.]), torch.Size([2]))
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        mean: Float[Tensor, "batch dim"],
        scale: Float[Tensor, "batch dim"],
        df: Float[Tensor, " dim"],
        noise: float = 0.0,
    ) -> None:
        self._mean, self._clean_scale, self._df, self.noise = mean, scale, df, noise
        self._scale = (scale.square() + noise**2).sqrt()
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @cached_property
    def _unit(self) -> StudentT:
        return StudentT(self._df, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """(batch, dim), with the noise."""
        return self._scale.square() * self._df / (self._df - 2)

    @property
    def clean(self) -> StudentTVector:
        """The teacher without the noise."""
        return StudentTVector(self._mean, self._clean_scale, self._df)

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-density of a value of the noisy teacher, in nats, summed over dimensions."""
        return (self._unit.log_prob((value - self._mean) / self._scale) - self._scale.log()).sum(-1)

    def expected_log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Mean of ``log_prob(value + noise)`` over the noise, by quadrature; equal to ``log_prob`` without noise."""
        if not self.noise:
            return self.log_prob(value)
        # Recomputed in the backward pass: five log-densities of (batch, dim) would be kept alive otherwise.
        mean: Tensor = checkpoint(
            _mean_over_noise,
            value,
            self._mean,
            self._clean_scale,
            self._df,
            self.noise,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        return mean

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Values of the noisy teacher, (*sample_shape, batch, dim), differentiable."""
        unit: Tensor = StudentT(self._df.expand_as(self._mean), validate_args=False).rsample(sample_shape)
        return self._mean + self._scale * unit

    def entropy(self) -> Float[Tensor, " batch"]:
        """Differential entropy, in nats."""
        return (self._unit.entropy() + self._scale.log()).sum(-1)


def _mean_over_noise(value: Tensor, mean: Tensor, scale: Tensor, df: Tensor, noise: float) -> Tensor:
    q = StudentTVector(mean, scale, df, noise)
    nodes = zip(NODES, NODE_WEIGHTS, strict=True)
    return torch.stack([weight * q.log_prob(value + noise * node) for node, weight in nodes]).sum(0)


class StudentTDensity(Density):
    """Independent Student-t variables of the noisy teacher.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding.
        noise: standard deviation of the noise, in standardised units.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: negative noise, a width below 1 or a negative depth.

    Example:
        >>> StudentTDensity(8, 3)(torch.zeros(2, 8)).log_prob(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    takes_noise = True

    def __init__(self, in_dim: int, dim: int, *, noise: float = 0.5, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=2 * dim, hidden=hidden, depth=depth)
        self.noise = checked_noise(noise)
        self.raw_df = nn.Parameter(torch.full((dim,), 2.0))

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> StudentTVector:
        """Numbers of the readout to the Student-t variables of the noisy teacher."""
        mean, raw_scale = outputs.chunk(2, dim=-1)
        return StudentTVector(mean, bounded_scale(raw_scale), SMALLEST_DF + softplus(self.raw_df), self.noise)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        begin_mean_and_scale(self.readout, z, values)
        return True

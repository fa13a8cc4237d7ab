r"""A density of directions, for teachers whose embeddings have unit length.

The power spherical distribution (De Cao and Aziz, arXiv 2006.04437) on the unit sphere in d dimensions,

.. math:: q(t \mid z) = \frac{\Gamma(\alpha + \beta)}{2^{\alpha+\beta} \pi^\beta\, \Gamma(\alpha)}
          \big(1 + \mu^\top t\big)^{\kappa}, \qquad \beta = \frac{d - 1}{2},\ \alpha = \beta + \kappa,

is close to von Mises-Fisher, but its constant has no Bessel function, and it is sampled without rejection.
Its mean is :math:`\rho \mu` with :math:`\rho = \kappa / (d - 1 + \kappa)`. The head predicts this mean cosine
:math:`\rho \in (0, 0.999)`, so the concentration is bounded smoothly, and so is the information; no noise is needed.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Beta, Distribution, constraints
from torch.nn.functional import normalize
from torch.types import _size

from molmv.density.base import Density
from molmv.errors import ConfigError

#: Largest mean cosine between a target and its prediction.
LARGEST_COSINE = 0.999
#: 1 + cosine is kept above this: the density of the opposite point is zero.
OPPOSITE = 1e-6


class _UnitVector(constraints.Constraint):
    """Vectors of length one."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.norm(dim=-1) - 1).abs() < 1e-4


class PowerSpherical(Distribution):
    """Directions around a mean direction.

    Args:
        direction: (batch, dim), of any length but zero.
        mean_cosine: (batch,), between 0 and 1.

    Example:
        >>> q = PowerSpherical(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0.5]))
        >>> q.mean
        tensor([[0.5000, 0.0000, 0.0000]])
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = _UnitVector()

    def __init__(self, direction: Float[Tensor, "batch dim"], mean_cosine: Float[Tensor, " batch"]) -> None:
        self._direction = normalize(direction, dim=-1)
        self._mean_cosine = mean_cosine
        dim = direction.shape[-1]
        # One number a row, in float64: the constant is a difference of large numbers.
        cosine = mean_cosine.double()
        self._concentration = (dim - 1) * cosine / (1 - cosine)
        self._beta = (dim - 1) / 2
        self._alpha = self._beta + self._concentration
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim), inside the sphere."""
        return self._mean_cosine.unsqueeze(-1) * self._direction

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-density of the direction of a value, in nats per unit of area; its length is not looked at."""
        cosine = (normalize(value, dim=-1) * self._direction).sum(-1)
        log_prob = self._concentration * (1 + cosine).clamp(min=OPPOSITE).log() - self._log_constant()
        return log_prob.to(self._direction.dtype)

    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Unit vectors, (*sample_shape, batch, dim)."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            along = 2 * Beta(self._alpha, torch.full_like(self._alpha, self._beta)).sample(sample_shape) - 1
            along = along.to(self._direction.dtype).unsqueeze(-1)
            across = normalize(self._direction.new_empty((*shape[:-1], shape[-1] - 1)).normal_(), dim=-1)
            around_first_axis = torch.cat([along, (1 - along.square()).clamp(min=0).sqrt() * across], dim=-1)
            # The reflection that swaps the first axis and the mean direction.
            first_axis = torch.zeros_like(self._direction)
            first_axis[..., 0] = 1
            normal = normalize(first_axis - self._direction, dim=-1)
            return around_first_axis - 2 * (around_first_axis * normal).sum(-1, keepdim=True) * normal

    def entropy(self) -> Float[Tensor, " batch"]:
        """Differential entropy, in nats."""
        mean_log = math.log(2) + self._alpha.digamma() - (self._alpha + self._beta).digamma()
        return (self._log_constant() - self._concentration * mean_log).to(self._direction.dtype)

    def _log_constant(self) -> Tensor:
        total = self._alpha + self._beta
        return total * math.log(2) + self._beta * math.log(math.pi) + self._alpha.lgamma() - total.lgamma()


class PowerSphericalDensity(Density):
    """Power spherical density of a teacher's direction; its targets are left as they are, not standardised.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding, at least two.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: fewer than two dimensions, a width below 1 or a negative depth.

    Example:
        >>> PowerSphericalDensity(8, 3)(torch.zeros(2, 8)).log_prob(torch.ones(2, 3)).shape
        torch.Size([2])
    """

    scaling = "identity"

    def __init__(self, in_dim: int, dim: int, *, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=dim + 1, hidden=hidden, depth=depth)
        if dim < 2:
            raise ConfigError(f"Expected a teacher of at least two dimensions for a direction, got {dim=}.")

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> PowerSpherical:
        """Numbers of the readout to the density of the direction."""
        direction, raw_cosine = outputs.split([self.dim, 1], dim=-1)
        return PowerSpherical(direction, LARGEST_COSINE * raw_cosine.squeeze(-1).sigmoid())

r"""The baselines: the very same heads with the density switched off.

A point head predicts one embedding and is scored by a discrepancy. To be used wherever a density is, it
returns a distribution whose ``log_prob`` is :math:`-d` times that discrepancy: per dimension, the loss is
then the discrepancy itself. These ``log_prob`` are scores, not normalised densities (the constant that would
normalise the first is left out; it does not change a gradient), and ``sample`` is the point.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import cosine_similarity, smooth_l1_loss
from torch.types import _size

from molmv.density.base import Density
from molmv.density.beginning import linear_regression

Discrepancy = Callable[[Tensor, Tensor], Tensor]


def squared_error(point: Float[Tensor, "*batch dim"], target: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
    """Mean squared error over dimensions.

    It is the negative log-likelihood of a Gaussian of fixed variance 1/2, up to a constant.
    """
    return (target - point).square().mean(-1)


def cosine_distance(point: Float[Tensor, "*batch dim"], target: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
    """One minus the cosine: a von Mises-Fisher of fixed concentration 1, up to a constant."""
    return 1 - cosine_similarity(point, target, dim=-1)


def smooth_l1_cosine_distance(
    point: Float[Tensor, "*batch dim"], target: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch"]:
    """Smooth-L1, mean over dimensions, plus one minus the cosine: the loss of UNIC (arXiv 2408.05088)."""
    point, target = torch.broadcast_tensors(point, target)
    smooth = smooth_l1_loss(point, target, reduction="none").mean(-1)
    return smooth + cosine_distance(point, target)


class PointEstimate(Distribution):
    """A point with a score: ``log_prob`` is ``-dim * discrepancy(point, value)``.

    Args:
        point: (batch, dim).
        discrepancy: (…, dim) twice to (…,).

    Example:
        >>> import torch
        >>> q = PointEstimate(torch.zeros(2, 3), squared_error)
        >>> q.log_prob(torch.ones(2, 3))
        tensor([-3., -3.])
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, point: Float[Tensor, "batch dim"], discrepancy: Discrepancy) -> None:
        self._point = point
        self._discrepancy = discrepancy
        super().__init__(point.shape[:-1], point.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim), the point."""
        return self._point

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Minus ``dim`` times the discrepancy: a score, not a normalised density."""
        return -self.event_shape[0] * self._discrepancy(self._point, value)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """The point, repeated to (*sample_shape, batch, dim)."""
        return self._point.expand(self._extended_shape(sample_shape))


class _PointDensity(Density):
    """A head that predicts a point; children name the discrepancy."""

    discrepancy: Discrepancy

    def __init__(self, in_dim: int, dim: int, *, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=dim, hidden=hidden, depth=depth)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> PointEstimate:
        """Numbers of the readout to a scored point."""
        return PointEstimate(outputs, type(self).discrepancy)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        M, b = linear_regression(z, values)
        self.readout.weight.copy_(M)
        self.readout.bias.copy_(b)
        return True


class MeanSquaredError(_PointDensity):
    """A point scored by the mean squared error: the limit of the noisy Gaussian for large noise."""

    discrepancy = staticmethod(squared_error)


class Cosine(_PointDensity):
    """A point scored by one minus the cosine."""

    discrepancy = staticmethod(cosine_distance)


class SmoothL1Cosine(_PointDensity):
    """A point scored by smooth-L1 plus one minus the cosine."""

    discrepancy = staticmethod(smooth_l1_cosine_distance)

"""What every density is: a module whose call returns a distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from molmv.density.trunk import Trunk
from molmv.errors import ConfigError, ShapeError


class Density(nn.Module, ABC):
    r"""A conditional density :math:`q(t \mid z)` of one teacher's embedding given the student's.

    A call maps ``z`` of shape (batch, in_dim) to a distribution of batch shape (batch,) and event shape
    (dim,). It always has ``log_prob`` and ``sample``; ``mean`` and ``entropy`` where they are closed. A
    continuous density whose teacher is seen through noise also has ``expected_log_prob``
    (see :mod:`molmv.density.gaussian`).

    A child builds the trunk and readout through this constructor and implements :meth:`read`, which turns the readout's
    numbers into its distribution. Under autocast the products of trunk and readout are in half precision, the
    distribution never is: log-densities of thousands of dimensions would not survive it.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding, after standardisation.
        outputs: how many numbers the distribution needs, e.g. ``2 * dim``.
        hidden: width of the trunk.
        depth: number of blocks of the trunk; 0 is a linear head.

    Raises:
        ConfigError: a width below 1 or a negative depth.
    """

    #: How the targets are prepared: the ``mode`` of :class:`molmv.standardise.Standardiser`.
    scaling: ClassVar[Literal["scale", "identity"]] = "scale"
    #: Whether the constructor takes ``noise``: only continuous teachers need it.
    takes_noise: ClassVar[bool] = False

    def __init__(self, in_dim: int, dim: int, *, outputs: int, hidden: int, depth: int) -> None:
        super().__init__()
        if dim < 1:
            raise ConfigError(f"Expected a teacher of at least one dimension, got dim={dim}.")
        self.in_dim = in_dim
        self.dim = dim
        self.trunk = Trunk(in_dim, hidden, depth)
        self.readout = nn.Linear(self.trunk.out_dim, outputs)

    @abstractmethod
    def read(self, outputs: Float[Tensor, "batch outputs"]) -> Distribution:
        """Numbers of the readout (batch, outputs) to a distribution of the teacher's embedding."""

    def begin(self, z: Float[Tensor, "n in_dim"], values: Float[Tensor, "n dim"]) -> bool:
        """Start a linear head at a regression (:mod:`molmv.density.beginning`), for an embedding that is good already.

        Args:
            z: embeddings of a sample, (n, in_dim).
            values: the teacher's standardised vectors of the same rows, (n, dim).

        Returns:
            Whether it did. A head with hidden layers stays as it is, and so does a density that does not know how.
        """
        if len(self.trunk.linears):
            return False
        with torch.no_grad():
            return self._begin(z, values)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        return False

    def forward(self, z: Float[Tensor, "batch in_dim"]) -> Distribution:
        """Embedding (batch, in_dim) to a distribution of batch shape (batch,), event shape (dim,).

        Raises:
            ShapeError: ``z`` is not (batch, in_dim).
        """
        if z.ndim != 2 or z.shape[1] != self.in_dim:
            raise ShapeError(f"Expected embeddings of shape (batch, {self.in_dim}), got {tuple(z.shape)}.")
        dtype = self.readout.weight.dtype
        outputs = self.readout(self.trunk(z.to(dtype)))
        with torch.autocast(z.device.type, enabled=False):
            return self.read(outputs.to(dtype))

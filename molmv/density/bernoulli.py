"""Independent bits, for bit fingerprints."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Independent

from molmv.density.base import Density
from molmv.density.beginning import linear_discriminant


class BernoulliDensity(Density):
    r"""Independent Bernoulli variables: :math:`\log q(t \mid z) = \sum_i t_i \log p_i + (1 - t_i) \log (1 - p_i)`.

    The logits are the readout, so nothing overflows. A bit holds at most :math:`\log 2` nats: this
    likelihood is bounded without noise.

    Args:
        in_dim: width of the student's embedding.
        dim: number of bits.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: a width below 1 or a negative depth.

    Example:
        >>> import torch
        >>> q = BernoulliDensity(8, 16)(torch.zeros(2, 8))
        >>> q.log_prob(torch.ones(2, 16)).shape
        torch.Size([2])
    """

    scaling = "identity"

    def __init__(self, in_dim: int, dim: int, *, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=dim, hidden=hidden, depth=depth)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> Independent:
        """Numbers of the readout to independent bits; targets are 0.0 or 1.0."""
        return Independent(Bernoulli(logits=outputs, validate_args=False), 1, validate_args=False)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        M, b = linear_discriminant(z, values)
        self.readout.weight.copy_(M)
        self.readout.bias.copy_(b)
        return True

"""The part that every head shares: a small network from the student's embedding to features."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from molmv.errors import ConfigError


class Trunk(nn.Module):
    """Applies ``depth`` blocks of LayerNorm, Linear, ReLU; none if ``depth`` is zero.

    Two blocks of width 512 are the head of the paper (arXiv 2510.18680). With ``depth=0`` the head
    that owns this trunk is linear in the embedding.

    Args:
        in_dim: width of the student's embedding.
        hidden: width of every block.
        depth: number of blocks.

    Attributes:
        out_dim: width of the features: ``hidden``, or ``in_dim`` if ``depth`` is zero.

    Raises:
        ConfigError: a width below 1 or a negative depth.

    Example:
        >>> import torch
        >>> Trunk(in_dim=4, hidden=8, depth=2)(torch.zeros(3, 4)).shape
        torch.Size([3, 8])
    """

    def __init__(self, in_dim: int, hidden: int, depth: int) -> None:
        super().__init__()
        if in_dim < 1 or hidden < 1 or depth < 0:
            raise ConfigError(
                f"Expected in_dim >= 1, hidden >= 1 and depth >= 0, got {in_dim=}, {hidden=}, {depth=}.",
                "Use depth=0 for a linear head.",
            )
        widths = [in_dim] + [hidden] * depth
        self.out_dim = widths[-1]
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[:-1])
        self.linears = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths))

    def forward(self, z: Float[Tensor, "batch in_dim"]) -> Float[Tensor, "batch features"]:
        """Embedding (batch, in_dim) to features (batch, out_dim)."""
        for norm, linear in zip(self.norms, self.linears, strict=True):
            z = linear(norm(z)).relu()
        return z

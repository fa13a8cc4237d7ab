"""A linear map folded into a network's last linear layer: the map costs nothing when the network works."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


def fold_into(layer: nn.Linear, A: Float[Tensor, "new old"], a: Float[Tensor, " new"]) -> None:
    """Make the layer say A z + a where it said z; computed in double precision."""
    layer.weight = nn.Parameter((A.double() @ layer.weight.double()).to(layer.weight))
    layer.bias = nn.Parameter((A.double() @ layer.bias.double() + a.double()).to(layer.bias))
    layer.out_features = len(a)

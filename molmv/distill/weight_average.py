"""A student between the one that it went on from and what training made of it: the average of their weights.

What a second training learns and what it forgets of the first one do not grow alike on the way: between the two ends
of a training lie students that are better than both (Wortsman et al., "Robust fine-tuning of zero-shot models",
arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def average_weights(network: nn.Module, earlier: Mapping[str, Tensor], share: float) -> None:
    """Move a network's weights towards earlier ones of the same names, in place.

    Args:
        network: as its training left it.
        earlier: the weights that it began with; those that are no fractions (counts) are left as they are now.
        share: of the earlier weights in the new ones, 0 … 1.

    Raises:
        KeyError: there is no earlier weight of a name.
    """
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            if weight.is_floating_point():
                weight.copy_((1 - share) * weight + share * earlier[name].to(weight))

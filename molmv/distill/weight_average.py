"""A student between the one that it went on from and what training made of it: the average of their weights.

What a second training learns and what it forgets of the first one do not grow alike on the way: between the two ends
of a training lie students that are better than both (Wortsman et al., "Robust fine-tuning of zero-shot models",
arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def averaged(weights: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The average of several networks' weights of the same names.

    Args:
        weights: of each network; of what is no fraction (counts) the first one's is taken.
        shares: of each in the average; their sum is 1.

    Raises:
        KeyError: there is no weight of a name of the first one in another.
    """
    average = dict(weights[0])
    for name, first in average.items():
        if first.is_floating_point():
            parts = [share * own[name].to(first) for share, own in zip(shares, weights, strict=True)]
            average[name] = torch.stack(parts).sum(0)
    return average


def average_weights(network: nn.Module, earlier: Mapping[str, Tensor], share: float) -> None:
    """Move a network's weights towards earlier ones of the same names, in place.

    Args:
        network: as its training left it.
        earlier: the weights that it began with; those that are no fractions (counts) are left as they are now.
        share: of the earlier weights in the new ones, 0 … 1.

    Raises:
        KeyError: there is no earlier weight of a name.
    """
    network.load_state_dict(averaged([network.state_dict(), earlier], [1 - share, share]))

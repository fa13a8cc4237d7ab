"""Whether a head runs into the floor of its variances: dimensions that it takes for all but certain."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from molmv.density.gaussian import SCALE_FLOOR

#: A standard deviation below so many times the floor is near it; a softplus never reaches it.
NEAR = 2.0


def near_floor(q: Distribution) -> Float[Tensor, "batch dim"] | None:
    """Which predicted standard deviations of the teacher, without the noise it is seen through, are near the floor.

    Args:
        q: what a density returns.

    Returns:
        (batch, dim) boolean; None for a density whose variances have no floor (bits, counts, directions, points).

    Example:
        >>> import torch
        >>> from molmv.density import DiagonalGaussian
        >>> near_floor(DiagonalGaussian(torch.zeros(1, 2), torch.tensor([[0.015, 0.5]]), noise=0.5))
        tensor([[ True, False]])
    """
    clean = getattr(q, "clean", None)
    if clean is None:
        return None
    near: Tensor = clean.variance < (NEAR * SCALE_FLOOR) ** 2
    return near

r"""The first principal components of a teacher: what is asked about where all of it is too much to estimate.

A density of 2,048 dependent dimensions cannot be fitted to some thousand rows. A view :math:`V = f(T)` of 64 can, and
:math:`I(V; Z) \le I(T; Z)` for every :math:`f` (data processing): the information about the view is a lower bound of
that about the teacher.

The view is: vectors standardised as the teacher's likelihood asks (continuous columns scaled, counts as
:math:`\log(1 + t)`, bits as they are), rotated to principal components, each scaled to unit variance. Through noise of
:math:`\sigma_0` a component is then worth at most :math:`\tfrac12 \log(1 + 1/\sigma_0^2)` nats, whatever the teacher.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor

from molmv.density import DENSITIES
from molmv.errors import ConfigError
from molmv.standardise import Standardiser

#: A component with less than this share of the largest variance is noise of rounding.
SMALLEST_COMPONENT = 1e-6
#: The randomised decomposition looks for so many more components than it returns (arXiv 0909.4061).
OVERSAMPLING = 10


class PrincipalComponents:
    """A teacher's first principal components, fitted to some rows, to look at others with.

    Args:
        values: the rows to fit to, (rows, raw dim), as the teacher gives them; finite. Not the rows that an estimate
            is made of: the view would have seen them.
        likelihood: of the teacher, a name in ``molmv.density.DENSITIES``.
        most: components to keep, at most.
        seed: of the randomised decomposition; the random state of torch is left as it was.

    Attributes:
        dim: components kept.
        share: of the standardised vectors' variance, how much is in them.

    Raises:
        ConfigError: no component asked for, or no column that varies.

    Example:
        >>> bits = (torch.arange(40).reshape(-1, 1) // torch.tensor([1, 2, 4]) % 2).float()
        >>> view = PrincipalComponents(bits, "bernoulli", most=2)
        >>> view.dim, view.transform(bits).std(0, correction=0).round(decimals=3)
        (2, tensor([1., 1.]))
    """

    def __init__(self, values: Num[Tensor, "rows raw"], likelihood: str, most: int = 64, seed: int = 0) -> None:
        if most < 1:
            raise ConfigError(f"Expected at least one component, got {most}.")
        mode: Any = DENSITIES[likelihood].scaling
        self._standardiser = Standardiser(values.shape[1], mode).fit(values)
        self._logarithm = likelihood in ("count", "poisson")
        standardised = self._standardised(values)
        self._centre = standardised.mean(0)
        centred = standardised - self._centre
        wanted = min(most + OVERSAMPLING, *centred.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, spectrum, axes = torch.pca_lowrank(centred, q=wanted, center=False, niter=4)
        variance = spectrum.square() / len(centred)
        kept = int((variance[:most] > SMALLEST_COMPONENT * variance[0]).sum())
        if not kept:
            raise ConfigError("Expected rows that differ, got copies of one.")
        self._axes = axes[:, :kept] / variance[:kept].sqrt()
        self.dim = kept
        self.share = (variance[:kept].sum() / centred.square().mean(0).sum()).item()

    def transform(self, values: Num[Tensor, "rows raw"]) -> Float[Tensor, "rows dim"]:
        """Raw vectors to components, (rows, dim)."""
        return (self._standardised(values) - self._centre) @ self._axes

    def most_nats(self, noise: float) -> float:
        """What the components, seen through noise of that standard deviation, can hold at most; theory, claim 9."""
        return 0.5 * self.dim * math.log1p(1 / noise**2) if noise else math.inf

    def _standardised(self, values: Tensor) -> Tensor:
        standardised = self._standardiser.transform(values).float()
        return standardised.log1p() if self._logarithm else standardised

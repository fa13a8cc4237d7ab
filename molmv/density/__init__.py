"""Conditional densities q(t | z) of a teacher's embedding given the student's: one file for each family.

A density is a module; its call returns a distribution (:class:`molmv.density.base.Density`). A new family is a new file
and one line in ``DENSITIES``.
"""

from __future__ import annotations

from typing import Any

from molmv.density.base import Density
from molmv.density.bernoulli import BernoulliDensity
from molmv.density.bernoulli_mixture import BernoulliMixtureDensity
from molmv.density.count import NegativeBinomialDensity, PoissonDensity
from molmv.density.gaussian import DiagonalGaussian, GaussianDensity
from molmv.density.gaussian_beta import BetaGaussianDensity
from molmv.density.gaussian_lowrank import LowRankGaussian, LowRankGaussianDensity
from molmv.density.mixture import GaussianMixture, GaussianMixtureDensity
from molmv.density.point import Cosine, MeanSquaredError, PointEstimate, SmoothL1Cosine
from molmv.density.power_spherical import PowerSpherical, PowerSphericalDensity
from molmv.density.student_t import StudentTDensity, StudentTVector
from molmv.density.trunk import Trunk
from molmv.errors import UnknownNameError

__all__ = [
    "DENSITIES",
    "BernoulliDensity",
    "BernoulliMixtureDensity",
    "BetaGaussianDensity",
    "Cosine",
    "Density",
    "DiagonalGaussian",
    "GaussianDensity",
    "GaussianMixture",
    "GaussianMixtureDensity",
    "LowRankGaussian",
    "LowRankGaussianDensity",
    "MeanSquaredError",
    "NegativeBinomialDensity",
    "PointEstimate",
    "PoissonDensity",
    "PowerSpherical",
    "PowerSphericalDensity",
    "SmoothL1Cosine",
    "StudentTDensity",
    "StudentTVector",
    "Trunk",
    "make_density",
]

#: The names a teacher card's ``likelihood``, or a loss's ``objective``, may have.
DENSITIES: dict[str, type[Density]] = {
    "gaussian": GaussianDensity,
    "beta_gaussian": BetaGaussianDensity,
    "lowrank_gaussian": LowRankGaussianDensity,
    "gaussian_mixture": GaussianMixtureDensity,
    "student_t": StudentTDensity,
    "power_spherical": PowerSphericalDensity,
    "bernoulli": BernoulliDensity,
    "bernoulli_mixture": BernoulliMixtureDensity,
    "count": NegativeBinomialDensity,
    "poisson": PoissonDensity,
    "mse": MeanSquaredError,
    "cosine": Cosine,
    "smooth_l1_cosine": SmoothL1Cosine,
}


def make_density(
    likelihood: str, in_dim: int, out_dim: int, *, noise: float = 0.5, hidden: int = 512, depth: int = 2
) -> Density:
    """Builds the density of that name.

    Args:
        likelihood: a name in ``DENSITIES``.
        in_dim: width of the student's embedding.
        out_dim: width of the teacher's embedding, after standardisation.
        noise: standard deviation of the noise through which a continuous teacher is seen, in standardised
            units. Discrete teachers and point heads have none (their information is finite already).
        hidden: width of the trunk.
        depth: number of blocks of the trunk; 0 is a linear head.

    Raises:
        UnknownNameError: no density of that name.
        ConfigError: an impossible width, depth or noise.

    Example:
        >>> import torch
        >>> make_density("bernoulli", 8, 16)(torch.zeros(2, 8)).event_shape
        torch.Size([16])
    """
    if likelihood not in DENSITIES:
        raise UnknownNameError(f"Unknown likelihood {likelihood!r}.", f"Choose one of: {', '.join(sorted(DENSITIES))}.")
    density = DENSITIES[likelihood]
    options: dict[str, Any] = {"hidden": hidden, "depth": depth}
    if density.takes_noise:
        options["noise"] = noise
    return density(in_dim, out_dim, **options)

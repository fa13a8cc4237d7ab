r"""A Gaussian trained with the beta-NLL.

A Gaussian likelihood weighs the error of a dimension by :math:`1 / v(z)`: what is predicted well already is
learnt best. The beta-NLL (Seitzer et al., arXiv 2203.09168) multiplies every dimension's gradient by
:math:`v^\beta(z)`, taken as a constant; :math:`\beta = 0` is the likelihood, and :math:`\beta = 1` gives the mean the
gradient of the squared error. Only gradients change: the value stays that of the Gaussian, in nats.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from molmv.density.base import Density
from molmv.density.gaussian import DiagonalGaussian, begin_mean_and_scale, bounded_scale, checked_noise
from molmv.errors import ConfigError


class BetaGaussianDensity(Density):
    """Diagonal Gaussian of the noisy teacher, with gradients weighted by a power of the variance.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding.
        beta: the power, from 0 to 1; its authors recommend 0.5.
        noise: standard deviation of the noise, in standardised units.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: beta outside 0 to 1, negative noise, a width below 1 or a negative depth.

    Example:
        >>> import torch
        >>> q = BetaGaussianDensity(8, 3)(torch.zeros(2, 8))
        >>> q.expected_log_prob(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    takes_noise = True

    def __init__(
        self, in_dim: int, dim: int, *, beta: float = 0.5, noise: float = 0.5, hidden: int = 512, depth: int = 2
    ) -> None:
        super().__init__(in_dim, dim, outputs=2 * dim, hidden=hidden, depth=depth)
        if not 0 <= beta <= 1:
            raise ConfigError(f"Expected 0 <= beta <= 1, got {beta}.")
        self.beta = beta
        self.noise = checked_noise(noise)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> DiagonalGaussian:
        """Numbers of the readout to the Gaussian of the noisy teacher."""
        mean, raw_scale = outputs.chunk(2, dim=-1)
        return DiagonalGaussian(mean, bounded_scale(raw_scale), self.noise, self.beta)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        begin_mean_and_scale(self.readout, z, values)
        return True

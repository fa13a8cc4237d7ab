r"""A diagonal Gaussian, of a teacher that is seen through noise.

The paper (arXiv 2510.18680, its eq. for the Gaussian head) fits :math:`q(t \mid z) = N(t; \mu(z), s^2(z))`. A dimension
that the student predicts almost exactly then pays without limit: halving an error that is already tiny
is worth as many nats as halving a large one, and information about a deterministic dimension is infinite.

Here the student must tell about the *noisy* teacher :math:`T + \varepsilon`, with
:math:`\varepsilon \sim N(0, \sigma_0^2)`. Its density is the convolution

.. math:: q(\tilde t \mid z) = N(\tilde t;\ \mu(z),\ v(z)), \qquad v(z) = \sigma_0^2 + s^2(z),

and the variational bound on :math:`I(Z; T + \varepsilon)` (Barber and Agakov, 2003) needs its mean over the
noise, which is closed:

.. math:: E_\varepsilon \log q(t + \varepsilon \mid z)
          = -\tfrac12 \sum_i \Big[ \log 2\pi v_i + \frac{(t_i - \mu_i)^2 + \sigma_0^2}{v_i} \Big].

This is not ``log_prob(t)`` of the clean ``t``. That one would be best at :math:`v = \max(\sigma_0^2, e^2)` for a
squared error :math:`e^2`: a floor on the variance, whose :math:`s` says nothing below the floor. The mean over the
noise is best at :math:`s^2 = e^2` for every error, however small. So :meth:`DiagonalGaussian.log_prob` stays an
honest density of the noisy teacher, and the loss asks for :meth:`DiagonalGaussian.expected_log_prob`. With
:math:`\sigma_0 = 0` the two agree and are the paper's.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus
from torch.types import _size

from molmv.density.base import Density
from molmv.density.beginning import linear_regression
from molmv.density.gaussian_score import gaussian_score
from molmv.errors import ConfigError

#: Smallest standard deviation, in standardised units. It only matters without noise: a constant dimension would
#: otherwise have an unbounded density.
SCALE_FLOOR = 0.01
#: softplus(UNIT_SCALE) = 1: an untrained head starts at the spread of a standardised teacher.
UNIT_SCALE = math.log(math.e - 1)


def bounded_scale(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Maps any real number smoothly to a standard deviation above ``SCALE_FLOOR``; zero maps near one.

    Softplus is exponential below one and linear above: small scales are learnt as well as in the
    log-scale of the paper, and a large step cannot overflow.

    Example:
        >>> bounded_scale(torch.tensor([-50.0, 0.0, 50.0]))
        tensor([1.0000e-02, 1.0100e+00, 5.0551e+01])
    """
    return softplus(raw + UNIT_SCALE) + SCALE_FLOOR


def begin_mean_and_scale(readout: nn.Linear, z: Float[Tensor, "n embedding"], values: Float[Tensor, "n dim"]) -> None:
    """Make a readout of means and raw scales that of a regression; its spread is that of its errors, in every row."""
    M, b = linear_regression(z, values)
    spread = (values - z.double() @ M.T - b).square().mean(0).sqrt()
    raw = torch.expm1((spread - SCALE_FLOOR).clamp(min=SCALE_FLOOR)).log() - UNIT_SCALE  # bounded_scale, inverted
    readout.weight.copy_(torch.cat([M, torch.zeros_like(M)]))
    readout.bias.copy_(torch.cat([b, raw]))


def checked_noise(noise: float) -> float:
    """The noise itself.

    Raises:
        ConfigError: it is negative or not finite.
    """
    if not 0 <= noise < math.inf:
        raise ConfigError(f"Expected a finite noise >= 0, got {noise}.", "Use objective='mse' for infinite noise.")
    return noise


class DiagonalGaussian(Distribution):
    r"""The density :math:`N(\mu, \sigma_0^2 + s^2)` of a teacher plus noise, of independent dimensions.

    Args:
        mean: (batch, dim), in standardised units.
        scale: (batch, dim), standard deviation :math:`s` of the clean teacher, positive.
        noise: standard deviation :math:`\sigma_0` of the noise that ``log_prob`` and ``sample`` include.
        beta: power of the variance by which ``expected_log_prob`` weighs its gradients
            (see :mod:`molmv.density.gaussian_beta`); its value does not change.

    Example:
        >>> q = DiagonalGaussian(torch.zeros(2, 3), torch.ones(2, 3), noise=0.5)
        >>> q.batch_shape, q.event_shape, q.log_prob(torch.zeros(2, 3)).shape
        (torch.Size([2]), torch.Size([3]), torch.Size([2]))
        >>> q.variance[0, 0].item(), q.clean.variance[0, 0].item()
        (1.25, 1.0)
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        mean: Float[Tensor, "batch dim"],
        scale: Float[Tensor, "batch dim"],
        noise: float = 0.0,
        beta: float = 0.0,
    ) -> None:
        self._mean = mean
        self._scale = scale
        self.noise = noise
        self.beta = beta
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim), of the clean and of the noisy teacher."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """(batch, dim), with the noise."""
        return self._scale.square() + self.noise**2

    @property
    def clean(self) -> DiagonalGaussian:
        """The teacher without the noise: what a user wants to know of it."""
        return DiagonalGaussian(self._mean, self._scale)

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-density of a value of the noisy teacher, in nats, summed over dimensions."""
        return gaussian_score(value, self._mean, self._scale, noise=self.noise)

    def expected_log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Mean of ``log_prob(value + noise)`` over the noise, exactly; equal to ``log_prob`` without noise."""
        return gaussian_score(value, self._mean, self._scale, noise=self.noise, added=self.noise**2, beta=self.beta)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Values of the noisy teacher, (*sample_shape, batch, dim), differentiable."""
        shape = self._extended_shape(sample_shape)
        unit = torch.randn(shape, dtype=self._mean.dtype, device=self._mean.device)
        return self._mean + self.stddev * unit

    def entropy(self) -> Float[Tensor, " batch"]:
        """Differential entropy of the noisy teacher, in nats."""
        return 0.5 * (self.variance.log() + math.log(2 * math.pi * math.e)).sum(-1)


class GaussianDensity(Density):
    r"""Diagonal Gaussian of the noisy teacher; the default for continuous teachers.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding.
        noise: :math:`\sigma_0`, in standardised units. 0 is the paper's Gaussian; the larger it is, the
            closer the gradients are to those of the mean squared error.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: negative noise, a width below 1 or a negative depth.

    Example:
        >>> q = GaussianDensity(8, 3)(torch.zeros(2, 8))
        >>> q.expected_log_prob(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    takes_noise = True

    def __init__(self, in_dim: int, dim: int, *, noise: float = 0.5, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=2 * dim, hidden=hidden, depth=depth)
        self.noise = checked_noise(noise)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> DiagonalGaussian:
        """Numbers of the readout to the Gaussian of the noisy teacher."""
        mean, raw_scale = outputs.chunk(2, dim=-1)
        return DiagonalGaussian(mean, bounded_scale(raw_scale), self.noise)

    def _begin(self, z: Tensor, values: Tensor) -> bool:
        begin_mean_and_scale(self.readout, z, values)
        return True

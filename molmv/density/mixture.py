r"""A mixture of diagonal Gaussians, for teachers that are one of several things.

.. math:: q(\tilde t \mid z) = \sum_m \pi_m(z)\, N\big(\tilde t;\ \mu_m(z),\ \sigma_0^2 + s_m^2(z)\big)

The noise of :mod:`molmv.density.gaussian` adds to the variance of every component. The mean over it is not closed; it
is estimated with one draw and its mirror image, which is unbiased and free of the odd terms.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from molmv.density.base import Density
from molmv.density.gaussian import bounded_scale, checked_noise
from molmv.errors import ConfigError


class GaussianMixture(Distribution):
    """A mixture of diagonal Gaussians of a teacher plus noise.

    Args:
        logits: (batch, components), of the weights of the components.
        mean: (batch, components, dim).
        scale: (batch, components, dim), standard deviations of the clean teacher, positive.
        noise: standard deviation of the noise that ``log_prob`` and ``sample`` include.

    Example:
        >>> q = GaussianMixture(torch.zeros(2, 4), torch.zeros(2, 4, 3), torch.ones(2, 4, 3))
        >>> q.log_prob(torch.zeros(2, 3)), q.event_shape
        (tensor([-2.7568, -2.7568]), torch.Size([3]))
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.real_vector

    def __init__(
        self,
        logits: Float[Tensor, "batch components"],
        mean: Float[Tensor, "batch components dim"],
        scale: Float[Tensor, "batch components dim"],
        noise: float = 0.0,
    ) -> None:
        self._log_weights = logits.log_softmax(-1)
        self._means, self._scales, self.noise = mean, scale, noise
        self._variances = scale.square() + noise**2
        super().__init__(mean.shape[:-2], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim)."""
        return self._average(self._means)

    @property
    def variance(self) -> Tensor:
        """(batch, dim), with the noise."""
        return self._average(self._variances + self._means.square()) - self.mean.square()

    @property
    def clean(self) -> GaussianMixture:
        """The teacher without the noise."""
        return GaussianMixture(self._log_weights, self._means, self._scales)

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-density of a value of the noisy teacher, in nats."""
        error = (value.unsqueeze(-2) - self._means).square()
        components = (error / self._variances + self._variances.log()).sum(-1)
        constant = self.event_shape[0] * math.log(2 * math.pi)
        return (self._log_weights - 0.5 * (components + constant)).logsumexp(-1)

    def expected_log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Unbiased estimate of the mean of ``log_prob(value + noise)`` over the noise; random unless that is zero."""
        if not self.noise:
            return self.log_prob(value)
        step = self.noise * torch.randn_like(value)
        return 0.5 * (self.log_prob(value + step) + self.log_prob(value - step))

    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Values of the noisy teacher, (*sample_shape, batch, dim)."""
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            flat = self._log_weights.exp().multinomial(math.prod(sample_shape), replacement=True)
            which = flat.T.reshape(shape[:-1])[..., None, None].expand(*shape[:-1], 1, shape[-1])
            spread = (*sample_shape, *self._means.shape)
            mean = self._means.expand(spread).gather(-2, which).squeeze(-2)
            variance = self._variances.expand(spread).gather(-2, which).squeeze(-2)
            return mean + variance.sqrt() * torch.randn_like(mean)

    def _average(self, components: Tensor) -> Tensor:
        return (self._log_weights.exp().unsqueeze(-1) * components).sum(-2)


class GaussianMixtureDensity(Density):
    """Mixture of diagonal Gaussians of the noisy teacher; ``components`` times the outputs of one.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding.
        components: how many Gaussians.
        noise: standard deviation of the noise, in standardised units.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: no component, negative noise, a width below 1 or a negative depth.

    Example:
        >>> GaussianMixtureDensity(8, 3)(torch.zeros(2, 8)).log_prob(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    takes_noise = True

    def __init__(
        self, in_dim: int, dim: int, *, components: int = 4, noise: float = 0.5, hidden: int = 512, depth: int = 2
    ) -> None:
        if components < 1:
            raise ConfigError(f"Expected at least one component, got {components}.")
        super().__init__(in_dim, dim, outputs=components * (1 + 2 * dim), hidden=hidden, depth=depth)
        self.components = components
        self.noise = checked_noise(noise)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> GaussianMixture:
        """Numbers of the readout to the mixture of the noisy teacher."""
        outputs = outputs.unflatten(-1, (self.components, 1 + 2 * self.dim))
        logits, mean, raw_scale = outputs.split([1, self.dim, self.dim], dim=-1)
        return GaussianMixture(logits.squeeze(-1), mean, bounded_scale(raw_scale), self.noise)

r"""A Gaussian whose dimensions err together: diagonal plus low rank.

.. math:: q(\tilde t \mid z) = N\big(\tilde t;\ \mu(z),\ \Sigma(z)\big), \qquad
          \Sigma(z) = \operatorname{diag}\big(\sigma_0^2 + s^2(z)\big) + F \operatorname{diag}\big(a^2(z)\big) F^\top.

The directions :math:`F`, (dim, rank), are learnt once; how far errors reach along them, :math:`a(z)`, depends on the
student. A head that predicted :math:`F(z)` itself would need rank x dim more outputs. With the Woodbury identity
nothing larger than (batch, rank, rank) is factorised. The teacher is seen through noise as in
:mod:`molmv.density.gaussian`: the mean over the noise only adds :math:`\sigma_0^2 \operatorname{tr} \Sigma^{-1}` to the
quadratic form.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.types import _size

from molmv.density.base import Density
from molmv.density.gaussian import bounded_scale, checked_noise
from molmv.errors import ConfigError


class LowRankGaussian(Distribution):
    r"""The density :math:`N(\mu, \operatorname{diag}(\sigma_0^2 + s^2) + F \operatorname{diag}(a^2) F^\top)`.

    Args:
        mean: (batch, dim).
        scale: (batch, dim), independent standard deviations :math:`s`, positive.
        factor: (dim, rank), directions :math:`F` of shared errors.
        reach: (batch, rank), :math:`a`.
        noise: standard deviation :math:`\sigma_0` of the noise that ``log_prob`` and ``sample`` include.

    Example:
        >>> q = LowRankGaussian(torch.zeros(2, 3), torch.ones(2, 3), torch.ones(3, 1), torch.ones(2, 1))
        >>> q.log_prob(torch.zeros(2, 3)).shape, q.variance[0]
        (torch.Size([2]), tensor([2., 2., 2.]))
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        mean: Float[Tensor, "batch dim"],
        scale: Float[Tensor, "batch dim"],
        factor: Float[Tensor, "dim rank"],
        reach: Float[Tensor, "batch rank"],
        noise: float = 0.0,
    ) -> None:
        self._mean, self._scale, self._factor, self._reach, self.noise = mean, scale, factor, reach, noise
        self._diagonal = scale.square() + noise**2
        # Lower Cholesky factor of  I + a F' D^-1 F a,  (batch, rank, rank).
        identity = torch.eye(reach.shape[-1], dtype=mean.dtype, device=mean.device)
        self._root = torch.linalg.cholesky(identity + self._gram(self._diagonal.reciprocal()))
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim), of the clean and of the noisy teacher."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """(batch, dim), of each dimension alone, with the noise."""
        return self._diagonal + _product(self._reach.square(), self._factor.square().T)

    @property
    def clean(self) -> LowRankGaussian:
        """The teacher without the noise."""
        return LowRankGaussian(self._mean, self._scale, self._factor, self._reach)

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-density of a value of the noisy teacher, in nats."""
        return self._log_prob(self._mahalanobis(value))

    def expected_log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Mean of ``log_prob(value + noise)`` over the noise, exactly."""
        quadratic = self._mahalanobis(value)
        if self.noise:
            quadratic = quadratic + self.noise**2 * self._trace_of_precision()
        return self._log_prob(quadratic)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Values of the noisy teacher, (*sample_shape, batch, dim), differentiable."""
        shape = self._extended_shape(sample_shape)
        alone = self._mean.new_empty(shape).normal_()
        shared = self._mean.new_empty((*shape[:-1], self._reach.shape[-1])).normal_()
        return self._mean + self._diagonal.sqrt() * alone + _product(self._reach * shared, self._factor.T)

    def entropy(self) -> Float[Tensor, " batch"]:
        """Differential entropy of the noisy teacher, in nats."""
        return 0.5 * (self.event_shape[0] * (1 + math.log(2 * math.pi)) + self._log_determinant())

    def _gram(self, weight: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch rank rank"]:
        """``a F' diag(weight) F a``, as one product of (batch, dim) and (dim, rank²)."""
        rank = self._reach.shape[-1]
        pairs = (self._factor[:, :, None] * self._factor[:, None, :]).flatten(1)
        gram = _product(weight, pairs).unflatten(-1, (rank, rank))
        return self._reach[:, :, None] * gram * self._reach[:, None, :]

    def _mahalanobis(self, value: Tensor) -> Tensor:
        error = value - self._mean
        scaled = error / self._diagonal
        shared = (self._reach * _product(scaled, self._factor)).unsqueeze(-1)
        explained = torch.linalg.solve_triangular(self._root, shared, upper=False).square().sum((-2, -1))
        return (error * scaled).sum(-1) - explained

    def _trace_of_precision(self) -> Tensor:
        inverse = self._diagonal.reciprocal()
        shared = torch.cholesky_solve(self._gram(inverse.square()), self._root)
        return inverse.sum(-1) - shared.diagonal(dim1=-2, dim2=-1).sum(-1)

    def _log_determinant(self) -> Tensor:
        return self._diagonal.log().sum(-1) + 2 * self._root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _log_prob(self, quadratic: Tensor) -> Tensor:
        return -0.5 * (quadratic + self._log_determinant() + self.event_shape[0] * math.log(2 * math.pi))


def _product(left: Float[Tensor, "*batch inner"], right: Float[Tensor, "inner outer"]) -> Float[Tensor, "*batch outer"]:
    """Matrix product in the dtype of its factors, also under autocast."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


class LowRankGaussianDensity(Density):
    """Gaussian of the noisy teacher with diagonal plus low-rank covariance, for teachers whose errors correlate.

    Args:
        in_dim: width of the student's embedding.
        dim: width of the teacher's embedding.
        rank: number of directions of shared errors.
        noise: standard deviation of the noise, in standardised units.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: rank below 1, negative noise, a width below 1 or a negative depth.

    Example:
        >>> LowRankGaussianDensity(8, 3)(torch.zeros(2, 8)).log_prob(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    takes_noise = True

    def __init__(
        self, in_dim: int, dim: int, *, rank: int = 8, noise: float = 0.5, hidden: int = 512, depth: int = 2
    ) -> None:
        super().__init__(in_dim, dim, outputs=2 * dim + rank, hidden=hidden, depth=depth)
        if rank < 1:
            raise ConfigError(f"Expected a rank >= 1, got {rank}.", "Use the likelihood 'gaussian' for rank 0.")
        self.noise = checked_noise(noise)
        # Zero would be a saddle point; together the directions start with a small share of a unit variance.
        self.factor = nn.Parameter(0.1 * torch.randn(dim, rank) / math.sqrt(rank))

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> LowRankGaussian:
        """Numbers of the readout to the Gaussian of the noisy teacher."""
        mean, scale, reach = outputs.split([self.dim, self.dim, self.factor.shape[1]], dim=-1)
        return LowRankGaussian(mean, bounded_scale(scale), self.factor, bounded_scale(reach), self.noise)

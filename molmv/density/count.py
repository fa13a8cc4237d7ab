r"""Independent counts, for count fingerprints.

Both heads predict the logarithm of the mean count, bounded smoothly: :math:`\log \mu = c \tanh(r / c)`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Gamma, Independent, Poisson, constraints
from torch.nn.functional import softplus
from torch.types import _size

from molmv.density.base import Density

#: Bound of the log-mean: counts from 5e-5 to 22,000.
LOG_MEAN_BOUND = 10.0
#: Smallest dispersion parameter; the variance is at most mean + mean² / this.
DISPERSION_FLOOR = 0.01


def bounded_log_mean(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Maps any real number smoothly into ±``LOG_MEAN_BOUND``; the identity near zero.

    Example:
        >>> bounded_log_mean(torch.tensor([-1000.0, 0.0, 0.5]))
        tensor([-10.0000,   0.0000,   0.4996])
    """
    return LOG_MEAN_BOUND * torch.tanh(raw / LOG_MEAN_BOUND)


class NegativeBinomialVector(Distribution):
    """Independent negative binomial counts, each dimension with one dispersion for all rows.

    torch's own takes a dispersion for every entry, and is several times slower and larger.

    Args:
        log_mean: (batch, dim).
        dispersion: (dim,), positive.

    Example:
        >>> NegativeBinomialVector(torch.zeros(2, 3), torch.ones(3)).log_prob(torch.zeros(2, 3))
        tensor([-2.0794, -2.0794])
    """

    arg_constraints = {}  # noqa: RUF012  (torch's own protocol)
    support = constraints.independent(constraints.nonnegative_integer, 1)

    def __init__(self, log_mean: Float[Tensor, "batch dim"], dispersion: Float[Tensor, " dim"]) -> None:
        self._log_odds = log_mean - dispersion.log()
        self._dispersion = dispersion
        super().__init__(log_mean.shape[:-1], log_mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(batch, dim)."""
        return self._dispersion * self._log_odds.exp()

    @property
    def variance(self) -> Tensor:
        """(batch, dim)."""
        return self.mean * (1 + self._log_odds.exp())

    def log_prob(self, value: Float[Tensor, "*sample batch dim"]) -> Float[Tensor, "*sample batch"]:
        """Log-probability of whole numbers, in nats, summed over dimensions."""
        total = value + self._dispersion
        ways = total.lgamma() - (value + 1).lgamma()
        return (ways + value * self._log_odds - total * softplus(self._log_odds)).sum(
            -1
        ) - self._dispersion.lgamma().sum()

    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Counts, (*sample_shape, batch, dim): Poisson with a gamma-distributed rate."""
        with torch.no_grad():
            gamma = Gamma(self._dispersion.expand_as(self._log_odds), (-self._log_odds).exp(), validate_args=False)
            return torch.poisson(gamma.sample(sample_shape))


class NegativeBinomialDensity(Density):
    r"""Independent negative binomial counts of mean :math:`\mu(z)` and variance :math:`\mu + \mu^2 / r`.

    .. math:: \log q(t \mid z) = \sum_i \log \binom{t_i + r_i - 1}{t_i}
              + r_i \log \frac{r_i}{r_i + \mu_i} + t_i \log \frac{\mu_i}{r_i + \mu_i}

    Substructure counts are more spread than Poisson's. The dispersion :math:`r` is one learnt number for each
    dimension (the NB2 regression of Cameron and Trivedi), the mean is a function of the student.

    Args:
        in_dim: width of the student's embedding.
        dim: number of counts.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: a width below 1 or a negative depth.

    Example:
        >>> q = NegativeBinomialDensity(8, 16)(torch.zeros(2, 8))
        >>> q.log_prob(torch.ones(2, 16)).shape
        torch.Size([2])
    """

    scaling = "identity"

    def __init__(self, in_dim: int, dim: int, *, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=dim, hidden=hidden, depth=depth)
        self.raw_dispersion = nn.Parameter(torch.zeros(dim))

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> NegativeBinomialVector:
        """Numbers of the readout to independent counts; targets are whole numbers, as floats."""
        dispersion = softplus(self.raw_dispersion) + DISPERSION_FLOOR
        return NegativeBinomialVector(bounded_log_mean(outputs), dispersion)


class PoissonDensity(Density):
    r"""Independent Poisson counts: :math:`\log q(t \mid z) = \sum_i t_i \log \mu_i - \mu_i - \log t_i!`.

    Args:
        in_dim: width of the student's embedding.
        dim: number of counts.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: a width below 1 or a negative depth.

    Example:
        >>> q = PoissonDensity(8, 16)(torch.zeros(2, 8))
        >>> q.log_prob(torch.ones(2, 16)).shape
        torch.Size([2])
    """

    scaling = "identity"

    def __init__(self, in_dim: int, dim: int, *, hidden: int = 512, depth: int = 2) -> None:
        super().__init__(in_dim, dim, outputs=dim, hidden=hidden, depth=depth)

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> Independent:
        """Numbers of the readout to independent counts; targets are whole numbers, as floats."""
        rate = bounded_log_mean(outputs).exp()
        return Independent(Poisson(rate, validate_args=False), 1, validate_args=False)

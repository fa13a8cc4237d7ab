r"""Independent counts, for count fingerprints.

Both heads predict the logarithm of the mean count, bounded smoothly: :math:`\log \mu = c \tanh(r / c)`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, NegativeBinomial, Poisson
from torch.nn.functional import softplus

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

    def read(self, features: Float[Tensor, "batch features"]) -> Independent:
        """Features to independent counts; targets are whole numbers, as floats."""
        dispersion = softplus(self.raw_dispersion) + DISPERSION_FLOOR
        log_odds = bounded_log_mean(self.readout(features)) - dispersion.log()
        counts = NegativeBinomial(dispersion.expand_as(log_odds), logits=log_odds, validate_args=False)
        return Independent(counts, 1, validate_args=False)


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

    def read(self, features: Float[Tensor, "batch features"]) -> Independent:
        """Features to independent counts; targets are whole numbers, as floats."""
        rate = bounded_log_mean(self.readout(features)).exp()
        return Independent(Poisson(rate, validate_args=False), 1, validate_args=False)

r"""Where a linear head begins if the embedding is good already: at a regression, not at random numbers.

A random head sends gradients into the student that undo what it knows before the head has learnt to listen. For a
student that goes on from an earlier one (``train.start``) the best linear head is known in advance, from a sample of
embeddings and of the teacher's standardised vectors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

#: Of the mean variance of an embedding's numbers, added to each in a regression.
PENALTY = 1e-3
#: A bit is taken to be on, and off, in at least this share of the rows: a rarer one says too little of its slope.
RAREST = 1e-3
#: Of a bit's variance, what no regression explains: a slope would grow without limit.
LEAST_UNEXPLAINED = 0.05

LinearMap = tuple[Float[Tensor, "dim embedding"], Float[Tensor, " dim"]]


def linear_regression(z: Float[Tensor, "n embedding"], t: Float[Tensor, "n dim"]) -> LinearMap:
    """M and b with which M z + b is nearest to t: ridge regression, in double precision.

    Args:
        z: embeddings of a sample.
        t: what is to be told of it, in the same order.
    """
    centre, mean, slopes, _ = _slopes(z, t)
    return slopes, mean - slopes @ centre


def linear_discriminant(z: Float[Tensor, "n embedding"], bits: Float[Tensor, "n dim"]) -> LinearMap:
    r"""M and b with which sigmoid(M z + b) is about the probability of each bit: Fisher's discriminants.

    With one covariance of the embedding for both values of bit i, the log-odds are linear. For the share m of rows with
    the bit, the slopes r of its regression and the share R² of its variance that the regression explains they are

    .. math:: w = \frac{r}{m (1 - m) (1 - R^2)}, \qquad
              \log \frac{m}{1 - m} + w^\top (z - \bar z) - \tfrac12 (1 - 2 m)\, w^\top \Delta,

    :math:`\Delta` being the difference of the two values' mean embeddings.

    Args:
        z: embeddings of a sample.
        bits: 0 or 1, in the same order.
    """
    centre, mean, slopes, covariance = _slopes(z, bits)
    mean = mean.clamp(RAREST, 1 - RAREST)
    variance = mean * (1 - mean)
    unexplained = (1 - (slopes * covariance).sum(1) / variance).clamp(min=LEAST_UNEXPLAINED)
    M = slopes / (variance * unexplained)[:, None]
    distance = (M * covariance).sum(1) / variance
    return M, torch.logit(mean) - (0.5 - mean) * distance - M @ centre


def _slopes(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means of z and of t, slopes of a ridge regression (dim, embedding), and covariances (dim, embedding)."""
    z, t = z.double(), t.double()
    centre, mean = z.mean(0), t.mean(0)
    gram = (z - centre).T @ (z - centre) / len(z)
    covariance = (t - mean).T @ (z - centre) / len(z)
    penalty = PENALTY * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return centre, mean, torch.linalg.solve(gram + penalty, covariance.T).T, covariance

"""Negative log-likelihood of a batch in which a teacher may lack rows.

These functions know no family of densities: they ask a distribution, torch's own included, for its log-probability.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch.distributions import Distribution

from molmv.errors import ShapeError


def expected_log_prob(q: Distribution, target: Float[Tensor, "batch dim"]) -> Float[Tensor, " batch"]:
    """Log-probability of a teacher as the loss sees it, in nats, (batch,).

    A density of a teacher seen through noise has its mean over the noise in closed form, ``expected_log_prob``; for
    every other distribution, torch's own included, it is ``log_prob``.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> q = Independent(Normal(torch.zeros(2, 3), 1.0), 1)
        >>> expected_log_prob(q, torch.zeros(2, 3))
        tensor([-2.7568, -2.7568])
    """
    score: Tensor = getattr(q, "expected_log_prob", q.log_prob)(target)
    return score


def fill_missing(
    target: Num[Tensor, "batch dim"], present: Bool[Tensor, " batch"] | None
) -> tuple[Float[Tensor, "batch dim"], Bool[Tensor, " batch"]]:
    """Replaces the rows a teacher does not have by zeros, and says which it does have.

    A row is missing if ``present`` says so or if it holds a NaN or infinity. It is replaced before any
    arithmetic, because a gradient through a masked NaN is NaN.

    Returns:
        The targets in float32, (batch, dim), and the mask of the rows to count, (batch,).

    Example:
        >>> fill_missing(torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]), None)
        (tensor([[1., 2.],
                [0., 0.]]), tensor([ True, False]))
    """
    target = target.float()
    finite = target.sum(-1).isfinite()
    mask = finite if present is None else finite & present
    return torch.where(mask[:, None], target, 0.0), mask


def masked_mean(values: Float[Tensor, " batch"], mask: Bool[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean of the values where the mask holds; zero, with a zero gradient, where it holds nowhere.

    Example:
        >>> masked_mean(torch.tensor([1.0, 5.0]), torch.tensor([True, False]))
        tensor(1.)
    """
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def teacher_loss(
    q: Distribution, target: Num[Tensor, "batch dim"], present: Bool[Tensor, " batch"] | None = None
) -> tuple[Float[Tensor, ""], Bool[Tensor, " batch"]]:
    """Negative log-likelihood of one teacher, in nats per dimension, and the rows it is the mean of.

    Args:
        q: distribution of batch shape (batch,) and event shape (dim,).
        target: the teacher's standardised values, (batch, dim).
        present: which rows the teacher has, (batch,); all if not given.

    Raises:
        ShapeError: the shapes of ``q``, ``target`` and ``present`` do not fit together.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> q = Independent(Normal(torch.zeros(2, 3), 1.0), 1)
        >>> teacher_loss(q, torch.tensor([[0.0, 0.0, 0.0], [torch.nan, 0.0, 0.0]]))
        (tensor(0.9189), tensor([ True, False]))
    """
    shape = q.batch_shape + q.event_shape
    if target.shape != shape or (present is not None and present.shape != shape[:1]):
        found = f"targets {tuple(target.shape)}" + ("" if present is None else f", present {tuple(present.shape)}")
        raise ShapeError(f"Expected targets of shape {tuple(shape)} and present of shape ({shape[0]},), got {found}.")
    filled, mask = fill_missing(target, present)
    return masked_mean(-expected_log_prob(q, filled) / shape[-1], mask), mask

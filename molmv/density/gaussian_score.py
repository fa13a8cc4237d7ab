r"""The log-density of a diagonal Gaussian with its gradient written out.

Left to autograd it keeps six tensors of (batch, dim) alive for the backward pass; here only its three arguments are
kept, and no more than four such tensors exist at any time. With :math:`e = t - \mu`,
:math:`v = \sigma_0^2 + s^2` and a constant :math:`c` added to every squared error,

.. math:: f = -\tfrac12 \sum_i \Big[\log 2\pi v_i + \frac{e_i^2 + c}{v_i}\Big], \qquad
          \frac{\partial f}{\partial \mu_i} = \frac{e_i}{v_i}, \qquad
          \frac{\partial f}{\partial s_i} = \frac{s_i}{v_i} \Big(\frac{e_i^2 + c}{v_i} - 1\Big).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def gaussian_score(
    value: Float[Tensor, "*sample batch dim"],
    mean: Float[Tensor, "batch dim"],
    scale: Float[Tensor, "batch dim"],
    *,
    noise: float,
    added: float = 0.0,
    beta: float = 0.0,
) -> Float[Tensor, "*sample batch"]:
    """Sum over dimensions of the log-density of ``value`` under a Gaussian of variance ``noise² + scale²``.

    Args:
        value: (*sample, batch, dim).
        mean: (batch, dim).
        scale: (batch, dim), positive.
        noise: standard deviation.
        added: constant added to every squared error: the variance of the noise, for the mean over the noise.
        beta: power of the variance that gradients are multiplied by.

    Example:
        >>> gaussian_score(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2, 3), noise=0.0)
        tensor([-2.7568, -2.7568])
    """
    score: Tensor = _GaussianScore.apply(*torch.broadcast_tensors(value, mean, scale), noise, added, beta)
    return score


class _GaussianScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, mean: Tensor, scale: Tensor, noise: float, added: float, beta: float
    ) -> Tensor:
        ctx.save_for_backward(value, mean, scale)
        ctx.noise, ctx.added, ctx.beta = noise, added, beta
        variance = scale.square().add_(noise**2)
        terms = (value - mean).square_().add_(added).div_(variance).add_(variance.log_())
        return -0.5 * (terms.sum(-1) + value.shape[-1] * math.log(2 * math.pi))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        value, mean, scale = ctx.saved_tensors
        variance = scale.square().add_(ctx.noise**2)
        error = value - mean
        surplus = error.square().add_(ctx.added).div_(variance).sub_(1)
        weight = gradient.unsqueeze(-1) * variance ** (ctx.beta - 1)
        to_mean = error.mul_(weight)
        to_value = -to_mean if ctx.needs_input_grad[0] else None
        return to_value, to_mean, surplus.mul_(scale).mul_(weight), None, None, None

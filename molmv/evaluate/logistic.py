"""Many L2-regularised logistic regressions at once: all regularisations, folds and labels share the matrix products.

Each column of the problem minimises ``mean(log(1 + exp(-±margin))) + |w|² / (2 C m)`` over its own m rows, features
z-scored on these rows: what scikit-learn's ``StandardScaler`` and ``LogisticRegression`` do one by one. The method is
L-BFGS (Nocedal & Wright, algorithm 7.4) on all columns together. A step costs two matrix products, because margins are
linear along the direction and the line search needs none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class Logistic:
    """Fitted regressions: ``margin = X @ coef + intercept`` on raw features, one column each."""

    coef: Float[Tensor, "d k"]
    intercept: Float[Tensor, " k"]

    def margins(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Log-odds of class 1."""
        return X @ self.coef + self.intercept


def fit_logistic(
    X: Float[Tensor, "n d"],
    y: Float[Tensor, "n k"],
    rows: Bool[Tensor, "n k"],
    C: Float[Tensor, " k"],
    tol: float = 1e-4,
    max_iter: int = 500,
    memory: int = 10,
) -> Logistic:
    """Fit k regressions on one matrix.

    Args:
        X: features; on a similar scale (float32 sums over all rows).
        y: labels 0 or 1; ignored where ``rows`` is False.
        rows: the rows that each regression is fitted on.
        C: inverse strength of the regularisation, scikit-learn's.
        tol: stop where no element of the gradient is larger.
        max_iter: steps at most.
        memory: pairs that L-BFGS keeps.
    """
    problem = whole = _Problem(X, y, rows, C)
    W = X.new_zeros(X.shape[1] + 1, len(C))
    active = torch.arange(len(C))
    w, M = W.clone(), X.new_zeros(y.shape)
    g = problem.gradient(w, M)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(max_iter):
        running = g.abs().amax(0) > tol
        if int(running.sum()) < 0.75 * len(active):  # the matrix products shrink with what is left to do
            W[:, active] = w
            if not running.any():
                break
            active, w, M, g = active[running], w[:, running], M[:, running], g[:, running]
            history = [(s[:, running], u[:, running], r[running]) for s, u, r in history]
            problem = problem.take(running)
        p = _direction(g, history)
        uphill = (p * g).sum(0) >= 0
        p = torch.where(uphill, -g, p)
        D = problem.forward(p)
        t = problem.line_search(w, M, p, D, g)
        step = t * p
        w, M = w + step, M + t * D
        new = problem.gradient(w, M)
        change = new - g
        curvature = (step * change).sum(0)
        good = curvature > 1e-10 * step.square().sum(0).clamp_min(1e-30)
        history.append((step, change, torch.where(good, 1 / curvature.clamp_min(1e-30), 0.0)))
        history, g = history[-memory:], new
    W[:, active] = w
    coef = W[:-1] / whole.scale
    return Logistic(coef, W[-1] - (whole.mean * coef).sum(0))


def _direction(g: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion, column by column."""
    if not history:
        return -g / g.norm(dim=0).clamp_min(1.0)
    q, coefficients = g.clone(), []
    for s, u, rho in reversed(history):
        a = rho * (s * q).sum(0)
        q -= a * u
        coefficients.append(a)
    s, u, rho = history[-1]
    q *= torch.where(rho > 0, 1 / (rho * u.square().sum(0)).clamp_min(1e-30), 1.0)
    for (s, u, rho), a in zip(history, reversed(coefficients), strict=True):
        q += s * (a - rho * (u * q).sum(0))
    return -q


class _Dense:
    def __init__(self, X: Tensor) -> None:
        self.X = X

    def times(self, W: Tensor) -> Tensor:
        return self.X @ W

    def across(self, R: Tensor) -> Tensor:
        return self.X.T @ R


class _Sparse:
    """Fingerprints hold a few percent of ones: products that skip the zeros are twenty times quicker."""

    def __init__(self, X: Tensor) -> None:
        from scipy.sparse import csr_array

        self.X = csr_array(X.numpy())
        self.transposed = csr_array(self.X.T)

    def times(self, W: Tensor) -> Tensor:
        return torch.from_numpy(self.X @ np.ascontiguousarray(W.numpy()))

    def across(self, R: Tensor) -> Tensor:
        return torch.from_numpy(self.transposed @ np.ascontiguousarray(R.numpy()))


def _matrix(X: Tensor) -> _Dense | _Sparse:
    return _Sparse(X) if (X != 0).float().mean() < 0.15 else _Dense(X)


class _Problem:
    """Losses and gradients of all columns, in the z-scored features of each."""

    def __init__(self, X: Tensor, y: Tensor, rows: Tensor, C: Tensor) -> None:
        self.X, self.y = _matrix(X), y
        count = rows.sum(0).clamp_min(1)
        self.weight = rows / count
        self.penalty = 1 / (C * count)
        self.mean = self.X.across(self.weight)
        # Not E[x²] - E[x]²: features are nearly centred, and float32 would lose a rare bit only if they were not.
        variance = _matrix(X.square()).across(self.weight) - self.mean.square()
        self.scale = torch.where(variance > 1e-9, variance.clamp_min(1e-9).sqrt(), 1.0)

    def take(self, columns: Tensor) -> _Problem:
        """The same with some of the columns."""
        part = _Problem.__new__(_Problem)
        part.X, part.y, part.weight = self.X, self.y[:, columns], self.weight[:, columns]
        part.penalty, part.mean, part.scale = self.penalty[columns], self.mean[:, columns], self.scale[:, columns]
        return part

    def forward(self, w: Tensor) -> Tensor:
        """Margins of parameters (or their change along a direction)."""
        scaled = w[:-1] / self.scale
        return self.X.times(scaled) + (w[-1] - (self.mean * scaled).sum(0))

    def gradient(self, w: Tensor, M: Tensor) -> Tensor:
        residual = self.weight * (M.sigmoid() - self.y)
        total = residual.sum(0)
        g = (self.X.across(residual) - self.mean * total) / self.scale
        return torch.cat([g + self.penalty * w[:-1], total[None]])

    def line_search(self, w: Tensor, M: Tensor, p: Tensor, D: Tensor, g: Tensor) -> Tensor:
        """Steps that nearly minimise the loss along p, by Newton's method on its derivative, never uphill."""
        ww, wp, pp = w[:-1].square().sum(0), (w[:-1] * p[:-1]).sum(0), p[:-1].square().sum(0)

        def loss(t: Tensor) -> Tensor:
            margin = M + t * D
            data = (self.weight * (softplus(margin) - self.y * margin)).sum(0)
            return data + self.penalty / 2 * (ww + 2 * t * wp + t * t * pp)

        t, start = torch.ones_like(ww), loss(torch.zeros_like(ww))
        for _ in range(2):
            probability = (M + t * D).sigmoid()
            first = (self.weight * (probability - self.y) * D).sum(0) + self.penalty * (wp + t * pp)
            second = (self.weight * probability * (1 - probability) * D * D).sum(0) + self.penalty * pp
            t = (t - first / second.clamp_min(1e-12)).clamp(1e-3, 10.0)
        for _ in range(20):
            worse = loss(t) > start + 1e-4 * t * (p * g).sum(0) + 1e-7 * start.abs()
            if not worse.any():
                break
            t = torch.where(worse, t / 2, t)
        return t

"""Many L2-regularised logistic regressions at once: all regularisations, folds and labels share the matrix products.

Each column of the problem minimises ``mean(log(1 + exp(-±margin))) + |w|² / (2 C m)`` over its own m rows, features
z-scored on these rows: what scikit-learn's ``StandardScaler`` and ``LogisticRegression`` do one by one. The method is
L-BFGS (Nocedal & Wright, algorithm 7.4) on all columns together, begun at the Hessian that the features would give if
every row were as uncertain as the share of class 1: embeddings are strongly correlated, and without it weak penalties
take hundreds of steps, with it some fifty. A step costs two matrix products, because margins are linear along the
direction and the line search needs none.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molmv.evaluate.features import SPARSE

MOST, NEARLY_ALL = 2 / 3, 0.95  # of the columns: the others are not worth a product of their own


def rare_columns(X: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " d"]:
    """The columns whose zeros are worth skipping: none or all of a matrix of one kind, fingerprints beside numbers."""
    rare = (X != 0).mean(axis=0, dtype=np.float32) < SPARSE
    if not MOST < rare.mean() < NEARLY_ALL:
        rare[:] = rare.mean() > MOST
    return rare


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
    rare = rare_columns(X.numpy())
    problem = whole = _Problem(X, rare, y, rows, C)
    # Fingerprints are hardly correlated, and products that skip their zeros cost less than a change of axes.
    dense = torch.from_numpy(np.flatnonzero(~rare))
    curved = _Curvature(whole, X[:, dense], dense) if len(dense) else _NoCurvature()
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
            problem, curved = problem.take(running), curved.take(running)
        p = _direction(g, history, curved)
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


def _direction(g: Tensor, history: list[tuple[Tensor, Tensor, Tensor]], curved: _Curvature | _NoCurvature) -> Tensor:
    """The two-loop recursion, column by column."""
    q, coefficients = g.clone(), []
    for s, u, rho in reversed(history):
        a = rho * (s * q).sum(0)
        q -= a * u
        coefficients.append(a)
    q = curved.divide(q)
    if not history:  # a step of at most one, in the measure of what is known
        return -q / (q * g).sum(0).sqrt().clamp_min(1.0)
    s, u, rho = history[-1]
    q *= torch.where(rho > 0, 1 / (rho * (u * curved.divide(u)).sum(0)).clamp_min(1e-30), 1.0)
    for (s, u, rho), a in zip(history, reversed(coefficients), strict=True):
        q += s * (a - rho * (u * q).sum(0))
    return -q


class _NoCurvature:
    """Nothing is known of the Hessian."""

    def take(self, columns: Tensor) -> _NoCurvature:
        return self

    def divide(self, g: Tensor) -> Tensor:
        return g


class _Curvature:
    """The Hessian where all rows are equally uncertain, ``c (X'X / n) + penalty``, in the axes of ``X'X``.

    Axes along which the rows hardly spread are not told apart: in float32 they would be noise. Columns beside the dense
    ones are taken as uncorrelated.
    """

    LEAST_SPREAD = 1e-3  # of the largest

    def __init__(self, problem: _Problem, X: Tensor, columns: Tensor) -> None:
        X = (X - problem.mean[columns].mean(1)) / problem.scale[columns].mean(1)
        wide = X.shape[1] > X.shape[0]
        spread, axes = torch.linalg.eigh((X @ X.T if wide else X.T @ X) / len(X))
        kept = spread > self.LEAST_SPREAD * spread[-1]
        self.spread, axes = spread[kept], axes[:, kept]
        self.axes = X.T @ (axes / (len(X) * self.spread).sqrt()) if wide else axes
        share = (problem.weight * problem.y).sum(0)
        self.doubt, self.penalty = (share * (1 - share)).clamp_min(1e-3), problem.penalty
        self.columns = columns

    def take(self, columns: Tensor) -> _Curvature:
        part = copy(self)
        part.doubt, part.penalty = self.doubt[columns], self.penalty[columns]
        return part

    def divide(self, g: Tensor) -> Tensor:
        """The Hessian's inverse times gradients."""
        rest = 1 / (self.doubt * self.spread[:1] + self.penalty)
        along = 1 / (self.spread[:, None] * self.doubt + self.penalty) - rest
        out, dense = torch.cat([g[:-1] / (self.doubt + self.penalty), g[-1:] / self.doubt]), g[self.columns]
        out[self.columns] = self.axes @ (along * (self.axes.T @ dense)) + rest * dense
        return out


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


class _SideBySide:
    """Fingerprints beside numbers."""

    def __init__(self, X: Tensor, rare: np.ndarray) -> None:
        self.shape, rare_ = X.shape, torch.from_numpy(rare)
        self.parts = ((~rare_, _Dense(X[:, ~rare_])), (rare_, _Sparse(X[:, rare_])))

    def times(self, W: Tensor) -> Tensor:
        return torch.stack([part.times(W[columns]) for columns, part in self.parts]).sum(0)

    def across(self, R: Tensor) -> Tensor:
        out = R.new_empty(self.shape[1], R.shape[1])
        for columns, part in self.parts:
            out[columns] = part.across(R)
        return out


def _matrix(X: Tensor, rare: np.ndarray) -> _Dense | _Sparse | _SideBySide:
    if rare.all():
        return _Sparse(X)
    return _SideBySide(X, rare) if rare.any() else _Dense(X)


class _Problem:
    """Losses and gradients of all columns, in the z-scored features of each."""

    def __init__(self, X: Tensor, rare: np.ndarray, y: Tensor, rows: Tensor, C: Tensor) -> None:
        self.X, self.y = _matrix(X, rare), y
        count = rows.sum(0).clamp_min(1)
        self.weight = rows / count
        self.penalty = 1 / (C * count)
        self.mean = self.X.across(self.weight)
        # Not E[x²] - E[x]²: features are nearly centred, and float32 would lose a rare bit only if they were not.
        variance = _matrix(X.square(), rare).across(self.weight) - self.mean.square()
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
        sign = 2 * self.y - 1
        ww, wp, pp = w[:-1].square().sum(0), (w[:-1] * p[:-1]).sum(0), p[:-1].square().sum(0)

        def loss(t: Tensor) -> Tensor:
            # log(sigmoid(±margin)), a tenth of the time of softplus; the clamp is beyond float32's sigmoid.
            said = torch.addcmul(M, t.expand_as(D), D).mul_(sign).clamp_min_(-80.0).sigmoid_().log_()
            return self.penalty / 2 * (ww + 2 * t * wp + t * t * pp) - (self.weight * said).sum(0)

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

"""How far a prediction may be off, from the errors that cross-validation showed.

For a value: a symmetric conformal interval. For a class: a calibrated probability between two bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

_BINS = 200


def conformal_width(residuals: Float64[np.ndarray, " n"], level: float) -> float:
    """Half the width of an interval that holds a new value with probability ``level``.

    The ⌈(n + 1) · level⌉-th smallest absolute residual of molecules left out (cross-conformal, Vovk,
    doi:10.1007/s10472-013-9368-4, with the model fitted on all folds at its centre). It holds for molecules drawn like
    the folds were; that is not a promise for chemistry unlike any of the training part.

    >>> conformal_width(np.array([-3.0, 1.0, 2.0, -4.0]), 0.6)
    3.0
    """
    ordered = np.sort(np.abs(residuals))
    rank = int(np.ceil((len(ordered) + 1) * level))
    return float(ordered[min(rank, len(ordered)) - 1])


@dataclass(frozen=True)
class VennAbers:
    """Calibrated probabilities with bounds (Vovk, Petej, Fedorova, arXiv:1511.00213).

    A new molecule is added to the calibration set once as negative and once as positive; isotonic regression then gives
    its probability twice. One of the two is perfectly calibrated. Between them lies p₁ / (1 − p₀ + p₁), which
    minimises the worst log loss.

    Attributes:
        edges: scores of the calibration set, ascending, ``(m,)``; at most 200, finer ones were joined.
        low: p₀ of a score that falls before, at, or after each edge, ``(2m + 1,)``.
        high: p₁ of the same places.
    """

    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def fit(cls, scores: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> VennAbers:
        """From scores of molecules left out, and their classes (0 or 1)."""
        edges, place = np.unique(scores, return_inverse=True)
        if len(edges) > _BINS:
            order = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
            place = order * _BINS // len(scores)
            edges = np.array([scores[place == b].mean() for b in range(_BINS)])
            edges = np.maximum.accumulate(edges)
        weight = np.bincount(place, minlength=len(edges)).astype(float)
        positive = np.bincount(place, weights=y, minlength=len(edges))
        spots = 2 * len(edges) + 1  # odd ones are the edges, even ones the gaps between them
        weights, sums = np.zeros(spots), np.zeros(spots)
        weights[1::2], sums[1::2] = weight, positive
        low = np.array([_isotonic_at(weights, sums, spot, 0.0) for spot in range(spots)])
        high = np.array([_isotonic_at(weights, sums, spot, 1.0) for spot in range(spots)])
        return cls(edges, low, high)

    def __call__(self, scores: Float64[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability, lower and upper bound of each score."""
        left, right = np.searchsorted(self.edges, scores, "left"), np.searchsorted(self.edges, scores, "right")
        spot = np.where(right > left, 2 * left + 1, 2 * left)
        low, high = self.low[spot], self.high[spot]
        return high / (1 - low + high), low, high


def _isotonic_at(weights: np.ndarray, sums: np.ndarray, spot: int, label: float) -> float:
    """Isotonic fit at one spot after one molecule of this class was added there.

    The min-max formula: the largest, over starts, of the smallest, over ends, mean of what lies between; only the
    start counts as variable here, since cumulative sums turn the inner part into a slope.
    """
    weights, sums = weights.copy(), sums.copy()
    weights[spot] += 1
    sums[spot] += label
    W, S = np.concatenate([[0.0], np.cumsum(weights)]), np.concatenate([[0.0], np.cumsum(sums)])
    starts, ends = np.arange(spot + 1), np.arange(spot + 1, len(W))
    slopes = (S[ends][None, :] - S[starts][:, None]) / (W[ends][None, :] - W[starts][:, None])
    return float(slopes.min(axis=1).max())

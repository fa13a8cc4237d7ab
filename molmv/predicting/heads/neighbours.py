"""k nearest neighbours, weighted by inverse distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64

from molmv.predicting.heads.base import Arrays, Head

_ROWS = 1024  # at a time: their distances to all training molecules are in memory
_NEAREST = 1e-6  # a molecule of the training set decides alone, but not with an infinite weight


@dataclass(frozen=True)
class Neighbours(Head):
    """Mean of the nearest training molecules.

    Attributes:
        X: training vectors ``(n, dim)``, float32.
        y: their values ``(n,)``.
        k: how many count, ``(1,)``.
    """

    X: np.ndarray
    y: np.ndarray
    k: np.ndarray

    grid: ClassVar = tuple({"k": k} for k in (3, 5, 10, 20))

    @classmethod
    def fit(  # type: ignore[override]  # the parameters are those of its grid
        cls, X: Float[np.ndarray, "n dim"], y: Float64[np.ndarray, " n"], classify: bool, *, k: int
    ) -> Neighbours:
        """See :meth:`Head.fit`; nothing but keeping the vectors."""
        return cls(X.astype(np.float32), y, np.array([min(k, len(y))]))

    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """Weighted mean value; of classes, the weighted share of positives."""
        k = int(self.k[0])
        reference = self.X.astype(np.float64)
        scores = np.empty(len(X))
        for start in range(0, len(X), _ROWS):
            squared = squared_distances(X[start : start + _ROWS], reference)
            nearest = np.argpartition(squared, k - 1, axis=1)[:, :k]
            distance = np.sqrt(np.take_along_axis(squared, nearest, axis=1))
            weights = 1 / np.maximum(distance, _NEAREST)
            scores[start : start + _ROWS] = (weights * self.y[nearest]).sum(axis=1) / weights.sum(axis=1)
        return scores

    def arrays(self) -> Arrays:
        """See :meth:`Head.arrays`."""
        return {"X": self.X, "y": self.y, "k": self.k}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Neighbours:
        """See :meth:`Head.from_arrays`."""
        return cls(**arrays)


def squared_distances(A: Float[np.ndarray, "a dim"], B: Float[np.ndarray, "b dim"]) -> Float64[np.ndarray, "a b"]:
    """Squared Euclidean distances of all pairs, never negative."""
    squares = (A * A).sum(axis=1)[:, None] + (B * B).sum(axis=1)[None, :]
    return np.maximum(squares - 2 * (A @ B.T), 0.0)

"""Kernel ridge regression with a Gaussian kernel; on classes as −1 and 1 it is the least-squares SVM.

Suykens and Vandewalle, doi:10.1023/A:1018628609742. Unlike an SVM's, its solution is one linear system.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64

from molmv.predicting.heads.base import Arrays, Head
from molmv.predicting.heads.neighbours import squared_distances

_ROWS = 1024


@dataclass(frozen=True)
class Kernel(Head):
    """``exp(−gamma ‖x − X‖²) @ dual + mean``.

    Attributes:
        X: training vectors ``(n, dim)``, float32.
        dual: their coefficients ``(n,)``.
        gamma: ``(1,)``.
        mean: of the training values, ``(1,)``.
    """

    X: np.ndarray
    dual: np.ndarray
    gamma: np.ndarray
    mean: np.ndarray

    grid: ClassVar = tuple({"width": w, "penalty": p} for w, p in product((0.1, 0.3), (0.03, 0.3)))
    max_rows: ClassVar = 8_000  # its matrix is 0.5 GB then

    @classmethod
    def fit(  # type: ignore[override]  # the parameters are those of its grid
        cls,
        X: Float[np.ndarray, "n dim"],
        y: Float64[np.ndarray, " n"],
        classify: bool,
        *,
        width: float,
        penalty: float,
    ) -> Kernel:
        """See :meth:`Head.fit`; ``gamma`` is ``width`` / dim, ``penalty`` scikit-learn's ``alpha``."""
        from sklearn.kernel_ridge import KernelRidge

        gamma = width / X.shape[1]
        values = 2 * y - 1 if classify else y
        mean = values.mean()
        X = X.astype(np.float32)
        model = KernelRidge(alpha=penalty, kernel="precomputed")
        model.fit(np.exp(-gamma * _distances(X, X)), values - mean)
        return cls(X, model.dual_coef_, np.array([gamma]), np.array([mean]))

    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """The value; of classes, a margin between −1 and 1, about."""
        parts = [
            np.exp(-self.gamma * _distances(X[start : start + _ROWS], self.X)) @ self.dual
            for start in range(0, len(X), _ROWS)
        ]
        return np.concatenate(parts) + self.mean if parts else np.empty(0)

    def arrays(self) -> Arrays:
        """See :meth:`Head.arrays`."""
        return {"X": self.X, "dual": self.dual, "gamma": self.gamma, "mean": self.mean}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Kernel:
        """See :meth:`Head.from_arrays`."""
        return cls(**arrays)


def _distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return squared_distances(A.astype(np.float64), B.astype(np.float64))

"""Ridge regression, and logistic regression with an L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from molmv.predicting.heads.base import Arrays, Head


@dataclass(frozen=True)
class Linear(Head):
    """``X @ weights + bias``.

    Attributes:
        weights: ``(dim,)``.
        bias: ``(1,)``.
    """

    weights: np.ndarray
    bias: np.ndarray

    grid: ClassVar = tuple({"penalty": penalty} for penalty in (10.0, 100.0, 1_000.0, 10_000.0))

    @classmethod
    def fit(  # type: ignore[override]  # the parameters are those of its grid
        cls, X: Float[np.ndarray, "n dim"], y: Float64[np.ndarray, " n"], classify: bool, *, penalty: float
    ) -> Linear:
        """See :meth:`Head.fit`; ``penalty`` is scikit-learn's ``alpha``, or 1/``C``."""
        from sklearn.linear_model import LogisticRegression, Ridge

        model: Any = LogisticRegression(C=1 / penalty, max_iter=500) if classify else Ridge(alpha=penalty)
        model.fit(X, y)
        return cls(model.coef_.reshape(-1), np.atleast_1d(model.intercept_).astype(np.float64))

    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """The value, or the log-odds of the positive class."""
        return X @ self.weights + self.bias

    def arrays(self) -> Arrays:
        """See :meth:`Head.arrays`."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Linear:
        """See :meth:`Head.from_arrays`."""
        return cls(**arrays)

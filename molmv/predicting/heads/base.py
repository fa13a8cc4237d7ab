"""What every head looks like from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float, Float64

Arrays: TypeAlias = dict[str, np.ndarray]


class Head(ABC):
    """From vectors to one number a molecule: a value, or a score that is higher for the positive class.

    Attributes:
        grid: the hyperparameters to choose from, each a set of arguments of :meth:`fit`.
        standardise: whether it wants standardised vectors.
        max_rows: on more training molecules this kind takes too much memory or time.
    """

    grid: ClassVar[tuple[Mapping[str, Any], ...]]
    standardise: ClassVar[bool] = True
    max_rows: ClassVar[int] = 1_000_000

    @classmethod
    @abstractmethod
    def fit(
        cls, X: Float[np.ndarray, "n dim"], y: Float64[np.ndarray, " n"], classify: bool, **parameters: Any
    ) -> Head:
        """Fit with one set of hyperparameters.

        Args:
            X: vectors, standardised if this kind wants that.
            y: values; 0 or 1 if ``classify``.
            classify: whether y are classes.
            parameters: one entry of ``grid``.
        """

    @abstractmethod
    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """One number a row."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """All that decides a score, by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Head:
        """The inverse of :meth:`arrays`."""


@dataclass(frozen=True)
class Scaler:
    """Mean 0 and variance 1 of each dimension on the training molecules; a constant dimension becomes 0.

    Attributes:
        mean: ``(dim,)``.
        scale: ``(dim,)``; infinite where a dimension is constant.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: Float[np.ndarray, "n dim"]) -> Scaler:
        """From training vectors."""
        mean, scale = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        return cls(mean, np.where(scale > 1e-8 * np.maximum(1.0, abs(mean)), scale, np.inf))

    def __call__(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, "n dim"]:
        """Standardised vectors. Clipped at 10: one wild descriptor of a new molecule should not decide alone."""
        return np.clip((np.asarray(X, dtype=np.float64) - self.mean) / self.scale, -10.0, 10.0)

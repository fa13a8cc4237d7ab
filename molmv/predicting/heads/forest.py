"""Random forest: the head that needs no scaling, and with ECFP the baseline that everything has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from molmv.predicting.heads.base import Arrays, Head

_ROWS = 4096
_LEAF = -1
_SPARSE = 0.05


@dataclass(frozen=True)
class Forest(Head):
    """Mean over trees; all nodes of all trees in one row.

    Attributes:
        root: node where each tree begins, ``(trees,)``.
        left: node to go to if the feature is at most the threshold; −1 at a leaf, ``(nodes,)``.
        right: node to go to otherwise.
        feature: which one a node asks for.
        threshold: what it is compared with.
        value: mean value, or share of positives, of the training molecules in a node.
    """

    root: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    grid: ClassVar = ({"trees": 100, "share": 0.1},)
    standardise: ClassVar = False

    @classmethod
    def fit(  # type: ignore[override]  # the parameters are those of its grid
        cls,
        X: Float[np.ndarray, "n dim"],
        y: Float64[np.ndarray, " n"],
        classify: bool,
        *,
        trees: int,
        share: float | str,
        seed: int = 0,
    ) -> Forest:
        """See :meth:`Head.fit`.

        Args:
            X: vectors as they are.
            y: values.
            classify: whether y are classes.
            trees: how many.
            share: of the features that each split looks at, or ``sqrt``.
            seed: of the trees.
        """
        from scipy.sparse import csc_matrix
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        values: Any = csc_matrix(X) if np.mean(X != 0) < _SPARSE else X  # fingerprints: half the time, the same trees
        kind = RandomForestClassifier if classify else RandomForestRegressor
        model: Any = kind(n_estimators=trees, max_features=share, random_state=seed, n_jobs=-1).fit(values, y)
        found = [tree.tree_ for tree in model.estimators_]
        root = np.cumsum([0] + [tree.node_count for tree in found[:-1]])

        def joined(name: str, shifted: bool = False) -> np.ndarray:
            parts = [getattr(tree, name) for tree in found]
            if shifted:
                parts = [np.where(p < 0, _LEAF, p + start) for p, start in zip(parts, root, strict=True)]
            return np.concatenate(parts)

        # Class shares of scikit-learn >= 1.3 are normalised already; of older ones they would be counts.
        value = joined("value")[:, 0, :]
        value = value[:, -1] / value.sum(axis=1) if classify else value[:, 0]
        return cls(
            root.astype(np.int32),
            joined("children_left", shifted=True).astype(np.int32),
            joined("children_right", shifted=True).astype(np.int32),
            np.maximum(joined("feature"), 0).astype(np.int32),
            joined("threshold"),
            value,
        )

    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """Mean value; of classes, the mean share of positives."""
        X32 = np.asarray(X, dtype=np.float32)  # as scikit-learn compares
        parts = [self._walk(X32[start : start + _ROWS]) for start in range(0, len(X32), _ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _walk(self, X: np.ndarray) -> np.ndarray:
        total = np.zeros(len(X))
        rows = np.arange(len(X))
        for start in self.root:
            node = np.full(len(X), start)
            while (inner := self.left[node] != _LEAF).any():
                here, row = node[inner], rows[inner]
                smaller = X[row, self.feature[here]] <= self.threshold[here]
                node[inner] = np.where(smaller, self.left[here], self.right[here])
            total += self.value[node]
        return total / len(self.root)

    def arrays(self) -> Arrays:
        """See :meth:`Head.arrays`."""
        names = ("root", "left", "right", "feature", "threshold", "value")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Forest:
        """See :meth:`Head.from_arrays`."""
        forest = cls(**arrays)
        here, inner = np.arange(len(forest.left)), forest.left != _LEAF
        for child in (forest.left, forest.right):
            # As scikit-learn numbers them, a child comes after its parent: so every walk ends.
            if ((child <= here) | (child >= len(here)))[inner].any():
                raise ValueError("the nodes of the forest are not those of trees")
        if len(forest.root) == 0 or not 0 <= forest.root.min() <= forest.root.max() < len(here):
            raise ValueError("the forest has no trees")
        return forest

"""A random forest for several values of ``min_samples_split`` at once: grown to the end, then cut back.

A tree draws the features of each node on its own, so that a full tree, cut at the nodes with fewer than k samples, is
distributed as one that was grown with ``min_samples_split = k`` (for one random state it is another draw). One forest
is grown in place of five.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int


class CutForest:
    """Trees of one forest, each to be read with any of several cuts.

    Args:
        X: features.
        y: labels, 0 and 1 or numbers.
        classification: entropy and the share of class 1, or squared error and the mean.
        cuts: values of ``min_samples_split``.
        trees: how many.
        seed: of the trees.
        sparse: whether to grow them on a sparse matrix: for bits and counts, half the time, the same trees.
    """

    def __init__(
        self,
        X: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, " n"],
        classification: bool,
        cuts: Sequence[int],
        trees: int = 500,
        seed: int = 0,
        sparse: bool = False,
    ) -> None:
        from scipy.sparse import csc_array
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        options: dict[str, Any] = {"n_estimators": trees, "random_state": seed, "n_jobs": torch.get_num_threads()}
        kind = RandomForestClassifier if classification else RandomForestRegressor
        model: Any = kind(**options, **({"criterion": "entropy"} if classification else {}))
        self.model = model.fit(csc_array(X) if sparse else X, y)
        self.cuts, self.X = cuts, np.ascontiguousarray(X, dtype=np.float32)

    def out_of_bag(self) -> Float[np.ndarray, "cuts n"]:
        """What the trees that were grown without it say of each training row; 0 if there is none."""
        total, count = np.zeros((len(self.cuts), len(self.X))), np.zeros(len(self.X))
        for (tree, values), drawn in zip(self._trees(), self.model.estimators_samples_, strict=True):
            out = np.setdiff1d(np.arange(len(self.X)), drawn)
            total[:, out] += values[:, tree.apply(self.X[out])]
            count[out] += 1
        return total / np.maximum(count, 1)

    def predict(self, X: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "cuts m"]:
        """Shares of class 1, or values."""
        X32 = np.ascontiguousarray(X, dtype=np.float32)
        return np.mean([values[:, tree.apply(X32)] for tree, values in self._trees()], axis=0)

    def _trees(self) -> Iterator[tuple[Any, Float[np.ndarray, "cuts nodes"]]]:
        """Each tree, with what a row that reaches a leaf is told under each cut."""
        for estimator in self.model.estimators_:
            tree = estimator.tree_
            value = tree.value[:, 0, :]
            said = value[:, -1] / value.sum(axis=1) if value.shape[1] > 1 else value[:, 0]
            yield tree, np.stack([said[cut_nodes(tree, cut)] for cut in self.cuts])


def cut_nodes(tree: Any, cut: int) -> Int[np.ndarray, " nodes"]:
    """For each node the one where a row on its way to it stops if nodes with fewer than ``cut`` samples are leaves.

    Args:
        tree: ``tree_`` of one of scikit-learn's trees.
        cut: a value of ``min_samples_split``.
    """
    # Nodes are stored a subtree after the other, parents first, and a child has fewer samples than its parent: a node
    # below a cut follows the topmost node of its cut subtree, with no other such node between.
    size, before = tree.n_node_samples, np.full(tree.node_count, np.iinfo(np.int64).max)
    inner = np.flatnonzero(tree.children_left >= 0)
    for children in (tree.children_left, tree.children_right):
        before[children[inner]] = size[inner]
    nodes = np.arange(tree.node_count)
    topmost = np.where((size < cut) & (before >= cut), nodes, 0)
    return np.where(before < cut, np.maximum.accumulate(topmost), nodes)

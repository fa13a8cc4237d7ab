"""``image``: what embeddings of images are worth.

- ``linear``: accuracy of a linear probe on the test part, fitted on at most 5,000 training images.
- ``knn``: accuracy of the commonest class among the five training images nearest by cosine.
- ``clusters``: V-measure of k-means on the test part, three seeds; the normalised mutual information with the
  arithmetic mean of both entropies is the same number.

An image that a model refuses has the mean of the training images as its vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from molmv.evaluate import splits
from molmv.evaluate.class_probes import linear_accuracy, neighbour_accuracy, v_measure
from molmv.evaluate.protocol import Score
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import Task, names


class Image:
    """See the module."""

    name, version, suite = "image", 1, "vision"
    tasks = names("vision")
    heads = ("linear", "knn", "clusters")
    baselines = ("hog", "colour-statistics")

    def prepare(self, task: Task) -> Task:
        """All rows as they stand."""
        return task

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """The test part; every task of images has one."""
        if task.test is not None:
            yield "official", 0, splits.official_split(task.test)

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by head, of k-means also by seed."""
        y = task.Y[:, 0].astype(int)
        for kind, _, split in self.splits(task):
            train, test = split.train, split.test
            for head in heads:
                if head == "clusters":
                    metric, values = "V-measure", v_measure(X, y, test)
                else:
                    accuracy = linear_accuracy if head == "linear" else neighbour_accuracy
                    metric, values = "accuracy", [accuracy(X, y, train, test)]
                for seed, value in enumerate(values):
                    yield Score(task.labels[0], kind, seed, head, metric, value, np.nan, len(train), len(test))

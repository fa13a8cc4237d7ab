"""``strict``: by scaffold and at random, five times each, three kinds of head; the default for one's own data.

Duplicates are merged first. Features are scaled on the training part, hyperparameters picked in it by cross-validation
(folds of whole scaffolds would be harder still, but leave folds with one class on small sets). The ``mlp`` is one
network, stopped on a fifth of the training part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from molmv.evaluate import metrics, splits
from molmv.evaluate.heads import HEADS, Data, filled
from molmv.evaluate.protocol import Score, folds
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import CLASSIFICATION, Task, merge_duplicates, names

REPEATS = 5


class Strict:
    """See the module."""

    name, version, suite = "strict", 2, "tdc"
    tasks = tuple(name for name in names("tdc") if name not in ("ToxCast", "HIV"))
    heads = ("linear", "knn", "mlp")

    def prepare(self, task: Task) -> Task:
        """One row a molecule."""
        return merge_duplicates(task)

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """Splits of all rows; of a task with several labels those that have each label are taken later."""
        for kind in splits.KINDS:
            for seed, split in enumerate(splits.repeated(kind, task.canonical, REPEATS)):
                yield kind, seed, split

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by label, split, head and metric."""
        for column, label in enumerate(task.labels):
            y = task.Y[:, column]
            for kind, seed, split in self.splits(task):
                train, test = (part[np.isfinite(y[part])] for part in (split.train, split.test))
                if task.kind == CLASSIFICATION and min(np.bincount(y[train].astype(int), minlength=2)) < 5:
                    if len(task.labels) == 1:
                        folds(y[train], task.kind)  # says what is missing
                    continue
                Z = filled(X, train)
                data = Data(Z[train], y[train], Z[test], task.kind, folds(y[train], task.kind, 5, seed), discrete, seed)
                for head in heads:
                    fitted = HEADS[head](data)
                    for metric in ("AUROC", "AUPRC") if task.kind == CLASSIFICATION else ("R2", "MAE"):
                        value = metrics.score(metric, y[test], fitted.prediction)
                        yield Score(label, kind, seed, head, metric, value, fitted.cv, len(train), len(test))

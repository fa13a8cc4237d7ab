"""``text``: what embeddings of texts are worth, as the field's own benchmark (MTEB, arXiv:2210.07316) divides it.

Of each set at most 2,500 training and 1,500 test texts are used, those with the smallest hashes: a model of some
hundred texts a second is then evaluated in minutes.

- ``linear``: accuracy of a linear probe on the test texts.
- ``clusters``: V-measure of k-means on the test texts, three seeds; sets of topics and intents.
- ``similarity``: Spearman's correlation of the cosine of two sentences with what people said of them.
- ``retrieval``: share of test texts with a training text of their intent among the nearest 1 and 10 (recall@1, @10).

A text that a model refuses has the mean of the training texts as its vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from molmv.evaluate import metrics, splits
from molmv.evaluate.class_probes import linear_accuracy, recall_at, v_measure
from molmv.evaluate.heads import filled
from molmv.evaluate.protocol import Score
from molmv.evaluate.splits import Split, make_split
from molmv.evaluate.tasks import CLASSIFICATION, Task, names
from molmv.rows import row_keys

# Sets whose classes are what a text is about, not how it feels: unsupervised heads can be asked for them.
TOPICS = ("banking77", "clinc150", "snips", "stackoverflow", "trec")
INTENTS = ("banking77", "clinc150")
NEAREST = (1, 10)
MOST_TRAIN, MOST_TEST = 2500, 1500


class Text:
    """See the module."""

    name, version, suite = "text", 1, "text"
    tasks = names("text")
    heads = ("linear", "clusters", "similarity", "retrieval")
    baselines = ("hashed-ngrams",)

    def prepare(self, task: Task) -> Task:
        """At most :data:`MOST_TRAIN` and :data:`MOST_TEST` texts; pairs as they stand."""
        if task.test is None:
            return task
        order = np.argsort(row_keys(task.canonical), kind="stable")
        kept = [order[task.test[order] == part][:most] for part, most in ((False, MOST_TRAIN), (True, MOST_TEST))]
        return task.take(np.sort(np.concatenate(kept)))

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """The test part, where there is one; pairs have none."""
        if task.test is None:
            yield "none", 0, make_split((), np.arange(len(task)))
        else:
            yield "official", 0, splits.official_split(task.test)

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by head; a head that has nothing to say of a task gives none."""
        ((kind, _, split),) = self.splits(task)
        for head in heads:
            for seed, metric, value in self._scores(task, X, split, head):
                yield Score(task.labels[0], kind, seed, head, metric, value, np.nan, len(split.train), len(split.test))

    def _scores(
        self, task: Task, X: Float[np.ndarray, "n d"], split: Split, head: str
    ) -> Iterator[tuple[int, str, float]]:
        y, train, test = task.Y[:, 0].astype(int), split.train, split.test
        if task.kind != CLASSIFICATION:
            if head == "similarity":
                yield 0, "Spearman", similarity(X, task.Y[:, 0])
        elif head == "linear":
            yield 0, "accuracy", linear_accuracy(X, y, train, test)
        elif head == "clusters" and (task.name in TOPICS or task.name not in self.tasks):
            yield from ((seed, "V-measure", value) for seed, value in enumerate(v_measure(X, y, test)))
        elif head == "retrieval" and (task.name in INTENTS or task.name not in self.tasks):
            for count, value in recall_at(X, y, train, test, NEAREST).items():
                yield 0, f"recall@{count}", value


def similarity(X: Float[np.ndarray, "twice d"], scores: Float[np.ndarray, " twice"]) -> float:
    """Spearman's correlation of scores with the cosine of row i and row n + i."""
    n = len(X) // 2
    units = filled(X, np.arange(len(X)))
    units = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    return metrics.score("Spearman", scores[:n], (units[:n] * units[n:]).sum(axis=1))

"""``unsupervised``: nothing is fitted to labels; do molecules with one label lie together?

- ``clustering``: k-means on z-scored embeddings, as many clusters as classes, five seeds; normalised mutual information
  and adjusted Rand index of clusters and classes.
- ``retrieval``: the ten molecules nearest (cosine of z-scored embeddings) to each molecule of class 1; the share of
  them that is of class 1 (``P@10``), and that share over the share of class 1 among all others (``EF@10``).

A regression label is cut at its quartiles; the upper quarter is class 1 for the retrieval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from molmv.evaluate.heads import filled, scaled
from molmv.evaluate.protocol import Score
from molmv.evaluate.splits import Split, make_split
from molmv.evaluate.tasks import CLASSIFICATION, Task, merge_duplicates, names

SEEDS = 5
NEAREST = 10


class Unsupervised:
    """See the module."""

    name, version, suite = "unsupervised", 1, "tdc"
    tasks = tuple(name for name in names("tdc") if name not in ("ToxCast", "HIV"))
    heads = ("clustering", "retrieval")

    def prepare(self, task: Task) -> Task:
        """One row a molecule."""
        return merge_duplicates(task)

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """No training rows: all are scored."""
        yield "none", 0, make_split((), np.arange(len(task)))

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by label, head, seed and metric."""
        (Z,) = scaled(filled(X, np.arange(len(X))))
        for column, label in enumerate(task.labels):
            y = task.Y[:, column]
            rows = np.flatnonzero(np.isfinite(y))
            classes = y[rows].astype(int) if task.kind == CLASSIFICATION else quarters(y[rows])
            if len(np.unique(classes)) < 2 or len(rows) <= NEAREST:
                continue
            for head in heads:
                scores = clustering(Z[rows], classes) if head == "clustering" else retrieval(Z[rows], classes)
                for seed, metric, value in scores:
                    yield Score(label, "none", seed, head, metric, value, float("nan"), 0, len(rows))


def quarters(y: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """0 to 3, by quartile."""
    return np.searchsorted(np.quantile(y, [0.25, 0.5, 0.75]), y, side="left")


def clustering(Z: Float[np.ndarray, "n d"], classes: Int[np.ndarray, " n"]) -> Iterator[tuple[int, str, float]]:
    """Seed, metric and value of k-means with as many clusters as classes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    for seed in range(SEEDS):
        found = KMeans(len(np.unique(classes)), n_init=3, random_state=seed).fit_predict(Z)
        yield seed, "NMI", float(normalized_mutual_info_score(classes, found))
        yield seed, "ARI", float(adjusted_rand_score(classes, found))


def retrieval(Z: Float[np.ndarray, "n d"], classes: Int[np.ndarray, " n"]) -> Iterator[tuple[int, str, float]]:
    """Seed (0), metric and value of the ten nearest of each molecule of the highest class."""
    active = classes == classes.max()
    units = torch.nn.functional.normalize(torch.from_numpy(Z), dim=1)
    queries = np.flatnonzero(active)
    hits = []
    for piece in np.array_split(queries, max(len(queries) // 2048, 1)):
        similarity = units[piece] @ units.T
        similarity[torch.arange(len(piece)), torch.from_numpy(piece)] = -torch.inf  # not itself
        hits.append(active[torch.topk(similarity, NEAREST, dim=1).indices.numpy()].mean(axis=1))
    precision = float(np.concatenate(hits).mean())
    yield 0, "P@10", precision
    yield 0, "EF@10", precision / max(float((active.sum() - 1) / (len(active) - 1)), 1e-12)

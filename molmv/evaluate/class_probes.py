"""What embeddings of classes are worth, for texts and images: a linear probe, neighbours, clusters.

Features are z-scored on the training rows (the clusters, which have none, on all). At most :data:`MOST_ROWS` training
rows are used, the same for every model, so that a set of 20,000 texts costs seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from molmv.evaluate.heads import filled, scaled
from molmv.evaluate.logistic import fit_logistic

MOST_ROWS = 5000
STRENGTH = 0.1  # C of scikit-learn's logistic regression
SEEDS = 3


def some_rows(rows: Int[np.ndarray, " n"], most: int = MOST_ROWS) -> Int[np.ndarray, " m"]:
    """All rows, or as many drawn without replacement, the same every time."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def linear_accuracy(
    X: Float[np.ndarray, "n d"], y: Int[np.ndarray, " n"], train: Int[np.ndarray, " m"], test: Int[np.ndarray, " k"]
) -> float:
    """Share of test rows whose class has the largest margin of logistic regressions of one class against the rest."""
    train = some_rows(train)
    A, B = scaled(filled(X, train)[train], filled(X, train)[test])
    classes, place = np.unique(y[train], return_inverse=True)
    targets = torch.zeros(len(train), len(classes))
    targets[torch.arange(len(train)), torch.from_numpy(place)] = 1
    fitted = fit_logistic(
        torch.from_numpy(A),
        targets,
        torch.ones_like(targets, dtype=torch.bool),
        torch.full((len(classes),), STRENGTH),
        tol=1e-3,
        max_iter=100,
    )
    found = fitted.margins(torch.from_numpy(B)).argmax(1).numpy()
    return float((classes[found] == y[test]).mean())


def nearest(
    X: Float[np.ndarray, "n d"], train: Int[np.ndarray, " m"], test: Int[np.ndarray, " k"], count: int
) -> Int[np.ndarray, "k count"]:
    """The training rows nearest to each test row by cosine, the nearest first; embeddings as they are."""
    units = torch.nn.functional.normalize(torch.from_numpy(filled(X, train)), dim=1)
    pieces = [
        torch.topk(units[piece] @ units[train].T, count, dim=1).indices
        for piece in np.array_split(test, max(len(test) // 1024, 1))
    ]
    return train[torch.cat(pieces).numpy()]


def recall_at(
    X: Float[np.ndarray, "n d"],
    y: Int[np.ndarray, " n"],
    train: Int[np.ndarray, " m"],
    test: Int[np.ndarray, " k"],
    counts: Sequence[int],
) -> dict[int, float]:
    """Share of test rows that have a training row of their class among the nearest 1, 10, …."""
    near = y[nearest(X, train, test, max(counts))] == y[test][:, None]
    return {count: float(near[:, :count].any(axis=1).mean()) for count in counts}


def neighbour_accuracy(
    X: Float[np.ndarray, "n d"],
    y: Int[np.ndarray, " n"],
    train: Int[np.ndarray, " m"],
    test: Int[np.ndarray, " k"],
    count: int = 5,
) -> float:
    """Accuracy of the commonest class among the nearest training rows; of equally common ones the smaller number's."""
    votes = y[nearest(X, train, test, count)]
    found = np.array([np.bincount(row).argmax() for row in votes])
    return float((found == y[test]).mean())


def v_measure(X: Float[np.ndarray, "n d"], y: Int[np.ndarray, " n"], rows: Int[np.ndarray, " m"]) -> list[float]:
    """V-measure (Rosenberg and Hirschberg, 2007) of k-means with as many clusters as classes, for each seed."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import v_measure_score

    units = torch.nn.functional.normalize(torch.from_numpy(filled(X, rows)[rows]), dim=1).numpy()
    count = len(np.unique(y[rows]))
    found = (KMeans(count, n_init=1, random_state=seed).fit_predict(units) for seed in range(SEEDS))
    return [float(v_measure_score(y[rows], clusters)) for clusters in found]

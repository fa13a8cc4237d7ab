"""What is fitted on frozen embeddings: linear model, nearest neighbours, random forest, small networks.

Each picks its hyperparameters on the training rows alone and predicts the test rows. Features may hold NaN in rows
that an embedder refused: :func:`filled` gives these the mean of the training rows, which says nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn.functional import normalize

from molmv.evaluate import metrics
from molmv.evaluate.features import make_features, mean_and_scale, z_scores
from molmv.evaluate.forest import CutForest
from molmv.evaluate.logistic import fit_logistic, rare_columns
from molmv.evaluate.probes import Probes, predict, train
from molmv.evaluate.tasks import CLASSIFICATION

# Inverse regularisation strengths of arXiv 2508.06199.
STRENGTHS = 1 / np.logspace(-2, 3, 10)
NEIGHBOURS = (1, 3, 5, 7, 9)
MIN_SAMPLES_SPLIT = (2, 4, 6, 8, 10)
TREES = 500


@dataclass(frozen=True)
class Data:
    """One label of one task, cut into training and test rows.

    Attributes:
        X: features of the training rows.
        y: their labels.
        X_test: features of the test rows.
        kind: ``classification`` or ``regression``.
        folds: the fold of each training row, for cross-validation.
        discrete: whether the features are bits or counts.
        seed: of what is random.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    X_test: Float[np.ndarray, "m d"]
    kind: str
    folds: Int[np.ndarray, " n"]
    discrete: bool
    seed: int = 0

    def score(self, prediction: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        """The metric that hyperparameters are chosen by, on some of the training rows."""
        return metrics.score(metrics.default_metric(self.kind), self.y[rows], prediction)


@dataclass(frozen=True)
class Fitted:
    """A head at work.

    Attributes:
        prediction: of the test rows: larger means more likely class 1, or the value.
        cv: score in cross-validation (forest: out of bag) of the hyperparameters chosen.
        chosen: these hyperparameters.
    """

    prediction: Float[np.ndarray, " m"]
    cv: float
    chosen: str


Head = Callable[[Data], Fitted]


def filled(X: Float[np.ndarray, "n d"], train: np.ndarray) -> Float[np.ndarray, "n d"]:
    """The features, with the mean of the training rows where an embedder refused a row."""
    missing = ~np.isfinite(X).all(axis=1)
    if not missing.any():
        return X
    X = X.copy()
    rows = np.intersect1d(np.arange(len(X))[train], np.flatnonzero(~missing))
    X[missing] = X[rows].mean(axis=0, dtype=np.float64) if len(rows) else 0
    return X


def scaled(X: Float[np.ndarray, "n d"], *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """z-scored by the mean and standard deviation of the first; constant features become 0."""
    mean, scale = mean_and_scale(X)
    return tuple(z_scores(part, mean, scale) for part in (X, *others))


def linear(data: Data) -> Fitted:
    """Logistic or ridge regression on z-scored features; the strength of the regularisation by cross-validation."""
    return _logistic(data) if data.kind == CLASSIFICATION else _ridge(data)


def _logistic(data: Data) -> Fitted:
    # Bits and counts are left as they are, mostly 0; the solver scales them itself.
    mean, scale = np.zeros(data.X.shape[1]), np.ones(data.X.shape[1])
    if (dense := ~(rare_columns(data.X) | data.discrete)).any():
        mean[dense], scale[dense] = mean_and_scale(data.X[:, dense])
    tensor, X_test = (torch.from_numpy(z_scores(part, mean, scale)) for part in (data.X, data.X_test))
    y = torch.from_numpy(data.y.astype(np.float32))
    ids = np.unique(data.folds)
    rows = torch.from_numpy(data.folds[:, None] != np.repeat(ids, len(STRENGTHS)))
    C = torch.from_numpy(np.tile(STRENGTHS, len(ids)).astype(np.float32))
    margins = fit_logistic(tensor, y[:, None].expand(-1, len(C)), rows, C).margins(tensor).numpy()
    scores = np.empty((len(STRENGTHS), len(ids)))
    for i, fold in enumerate(ids):
        held = data.folds == fold
        for j in range(len(STRENGTHS)):
            scores[j, i] = data.score(margins[held, i * len(STRENGTHS) + j], held)
    best, cv = _best(scores)
    final = fit_logistic(tensor, y[:, None], torch.ones(len(y), 1, dtype=torch.bool), C[[best]])
    prediction = final.margins(X_test)[:, 0].numpy().astype(np.float64)
    return Fitted(prediction, cv, f"C={STRENGTHS[best]:.4g}")


def _ridge(data: Data) -> Fitted:
    alphas = 1 / STRENGTHS[::-1]
    best, cv = cross_validated(data, lambda X, y, X_test: ridge_path(X, y, X_test, alphas))
    return Fitted(ridge_path(data.X, data.y, data.X_test, alphas[[best]])[:, 0], cv, f"alpha={alphas[best]:.4g}")


def ridge_path(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], X_test: Float[np.ndarray, "m d"], alphas: np.ndarray
) -> Float[np.ndarray, "m alphas"]:
    """Predictions of ridge regressions on z-scored features for several penalties.

    A Cholesky factor for each: ten cost what one eigendecomposition does at 1,500 features, half of it at 5,000.
    """
    A, B = (torch.from_numpy(part.astype(np.float64)) for part in scaled(X, X_test))
    mean, wide = y.mean(), A.shape[1] > len(A)
    target = torch.from_numpy(y - mean)[:, None]
    gram, right = (A @ A.T, target) if wide else (A.T @ A, A.T @ target)
    penalty = torch.eye(len(gram), dtype=gram.dtype)
    solved = [torch.cholesky_solve(right, torch.linalg.cholesky(gram + alpha * penalty)) for alpha in alphas]
    weights = torch.cat(solved, dim=1)
    return mean + (B @ (A.T @ weights if wide else weights)).numpy()


def knn(data: Data) -> Fitted:
    """Nearest neighbours on z-scored features: cosine, or for bits and counts Tanimoto's similarity, as published."""
    best, cv = cross_validated(data, lambda X, y, X_test: neighbour_means(X, y, X_test, data.discrete))
    votes = neighbour_means(data.X, data.y, data.X_test, data.discrete)
    return Fitted(votes[:, best], cv, f"k={NEIGHBOURS[best]}")


def neighbour_means(
    X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], X_test: Float[np.ndarray, "m d"], tanimoto: bool
) -> Float[np.ndarray, "m ks"]:
    """Mean label of the 1, 3, … nearest training rows of each test row."""
    A, B = map(torch.from_numpy, scaled(X, X_test))
    squares = A.square().sum(1)
    if not tanimoto:
        A, B = normalize(A), normalize(B)
    most = min(NEIGHBOURS[-1], len(A))
    nearest = []
    for piece in B.split(2048):
        similar = piece @ A.T
        if tanimoto:
            similar /= (piece.square().sum(1)[:, None] + squares).sub_(similar).clamp_min_(1e-8)
        nearest.append(torch.topk(similar, most, dim=1).indices.numpy())
    labels = y[np.concatenate(nearest)]
    return np.stack([labels[:, : min(k, most)].mean(axis=1) for k in NEIGHBOURS], axis=1)


def forest(data: Data) -> Fitted:
    """500 trees on raw features; ``min_samples_split`` by the score out of bag."""
    classes = data.kind == CLASSIFICATION
    grown = CutForest(data.X, data.y, classes, MIN_SAMPLES_SPLIT, TREES, data.seed, sparse=data.discrete)
    best, cv = _best(np.array([[data.score(said)] for said in grown.out_of_bag()]))
    return Fitted(grown.predict(data.X_test)[best], cv, f"min_samples_split={MIN_SAMPLES_SPLIT[best]}")


def mlp(data: Data, networks: int = 1, hidden: int = 256, epochs: int = 40) -> Fitted:
    """The mean of networks, each stopped where it is best on a fold of its own; numbers are z-scored first.

    Args:
        data: rows, labels, folds.
        networks: how many, at most as there are folds; each costs as much as the first.
        hidden: width of the hidden layer.
        epochs: passes over the rows, of which the best is kept.
    """
    ids, sizes = (found[:networks] for found in np.unique(data.folds, return_counts=True))
    held = [np.flatnonzero(data.folds == fold)[: sizes.min()] for fold in ids]
    fitted_on = [np.flatnonzero(data.folds != fold)[: len(data.y) - sizes.max()] for fold in ids]
    features = make_features(np.concatenate([data.X, data.X_test]), fitted_on)
    classes = data.kind == CLASSIFICATION
    mean, scale = (0.0, 1.0) if classes else (data.y.mean(), data.y.std() or 1.0)
    y = (data.y - mean) / scale
    test = np.tile(np.arange(len(data.y), features.rows), (len(ids), 1))
    probes = Probes(features.dim, [data.seed * 1000 + int(fold) for fold in ids], hidden)
    best, prediction = np.full(len(ids), -np.inf), np.zeros(test.shape)
    for _ in train(probes, features, y, np.stack(fitted_on), classes, epochs):
        now = predict(probes, features, np.stack(held))
        scores = np.nan_to_num(
            [data.score(p * scale + mean, rows) for p, rows in zip(now, held, strict=True)], nan=-1e9
        )
        if (better := scores > best).any():
            best = np.where(better, scores, best)
            prediction[better] = predict(probes, features, test)[better]
    if classes:
        prediction = 1 / (1 + np.exp(-prediction.clip(-50, 50)))
    return Fitted(prediction.mean(axis=0) * scale + mean, float(best.mean()), f"hidden={hidden}")


HEADS: dict[str, Head] = {"linear": linear, "knn": knn, "forest": forest, "mlp": mlp}


def cross_validated(
    data: Data, path: Callable[[np.ndarray, np.ndarray, np.ndarray], Float[np.ndarray, "m candidates"]]
) -> tuple[int, float]:
    """The best of several candidates over the folds, and its mean score.

    Args:
        data: rows, labels, folds.
        path: from training rows, their labels and test rows to what each candidate says of these.
    """
    scores = []
    for fold in np.unique(data.folds):
        held = data.folds == fold
        said = path(data.X[~held], data.y[~held], data.X[held])
        scores.append([data.score(column, held) for column in said.T])
    return _best(np.array(scores).T)


def _best(scores: Float[np.ndarray, "candidates folds"]) -> tuple[int, float]:
    """The candidate with the best mean; the first of equals. Folds where a score is undefined do not count."""
    known = np.isfinite(scores)
    mean = np.where(known, scores, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    best = int(np.argmax(np.where(known.any(axis=1), mean, -np.inf)))
    return best, float(mean[best])

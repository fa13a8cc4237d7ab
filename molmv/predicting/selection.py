"""The choice of a head by cross-validation on the training part, and the errors it shows on molecules left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int

from molmv.errors import InputError
from molmv.predicting.heads import HEADS, Head, Scaler
from molmv.predicting.metrics import auroc, rmse


@dataclass(frozen=True)
class Model:
    """A head with the scaling of its inputs.

    Attributes:
        kind: name of the head.
        parameters: it was fitted with.
        scaler: None where the head wants vectors as they are.
        head: the fitted head.
    """

    kind: str
    parameters: Mapping[str, Any]
    scaler: Scaler | None
    head: Head

    @classmethod
    def fit(cls, kind: str, parameters: Mapping[str, Any], X: np.ndarray, y: np.ndarray, classify: bool) -> Model:
        """Fit scaler and head on the same rows."""
        scaler = Scaler.fit(X) if HEADS[kind].standardise else None
        head = HEADS[kind].fit(scaler(X) if scaler else X, y, classify, **parameters)
        return cls(kind, parameters, scaler, head)

    def score(self, X: Float[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
        """Values, or scores of the positive class."""
        return self.head.score(self.scaler(X) if self.scaler else X)


@dataclass(frozen=True)
class Candidate:
    """A head with its best hyperparameters.

    Attributes:
        kind: name of the head.
        parameters: the best of its grid.
        cv: mean over folds of the figure that chooses; the higher the better.
        left_out: what the fold without it said of each training molecule.
    """

    kind: str
    parameters: Mapping[str, Any]
    cv: float
    left_out: Float64[np.ndarray, " n"]

    def __str__(self) -> str:
        return f"{self.kind} {json.dumps(dict(self.parameters))}"


def assign_folds(
    y: Float64[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"] | None,
    classify: bool,
    folds: int,
    seed: int,
    labels: Sequence[str] = (),
) -> Int[np.ndarray, " n"]:
    """The fold of each training molecule: whole groups (scaffolds) to a fold if given, classes spread evenly.

    Folds cut like the test part show errors like those of the test part.

    Raises:
        InputError: a class has fewer molecules than there are folds, or there are fewer molecules or groups.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if classify:
        for value in (0, 1):
            found = int((y == value).sum())
            if found < folds:
                name = f"{labels[value]!r}" if labels else str(value)
                raise InputError(
                    f"Class {name} has {found} molecules to train on, fewer than the {folds} folds.",
                    "Use fewer --folds, another --split, or measure more.",
                )
    units = len(y) if groups is None else len(np.unique(groups))
    if len(y) < 2 * folds or units < folds:
        what = "molecules" if groups is None or len(y) < 2 * folds else "scaffolds"
        found = len(y) if what == "molecules" else units
        raise InputError(f"{found} {what} to train on are too few for {folds} folds.", "Use fewer --folds.")
    shuffled: dict[str, Any] = {"n_splits": folds, "shuffle": True, "random_state": seed}
    splitter: Any
    if groups is None:
        splitter = StratifiedKFold(**shuffled) if classify else KFold(**shuffled)
    else:
        splitter = StratifiedGroupKFold(**shuffled) if classify else GroupKFold(**shuffled)
    fold = np.empty(len(y), dtype=np.int64)
    for number, (_, held) in enumerate(splitter.split(np.zeros(len(y)), y, groups)):
        fold[held] = number
    if classify and any(len(np.unique(y[fold != number])) < 2 for number in range(folds)):
        raise InputError("A fold would leave only one class to train on.", "Use --split random, or fewer --folds.")
    return fold


def candidates(
    X: Float[np.ndarray, "n dim"],
    y: Float64[np.ndarray, " n"],
    fold: Int[np.ndarray, " n"],
    classify: bool,
    kinds: Sequence[str],
    progress: Callable[[int, float | None], None],
) -> list[Candidate]:
    """Each kind of head with the hyperparameters that do best on molecules left out; the best kind first."""
    kinds = [kind for kind in kinds if len(X) <= HEADS[kind].max_rows]
    total = sum(len(HEADS[kind].grid) for kind in kinds)
    done = 0
    best: dict[str, Candidate] = {}
    for kind in kinds:
        for parameters in HEADS[kind].grid:
            candidate = _try(kind, parameters, X, y, fold, classify)
            if kind not in best or candidate.cv > best[kind].cv:
                best[kind] = candidate
            done += 1
            progress(done * len(X), done / total)
    return sorted(best.values(), key=lambda candidate: -candidate.cv)


def left_out(
    kind: str, parameters: Mapping[str, Any], X: np.ndarray, y: np.ndarray, fold: np.ndarray, classify: bool
) -> Float64[np.ndarray, " n"]:
    """What a head fitted on the other folds says of each molecule."""
    scores = np.empty(len(y))
    for train, held in _folds(fold):
        scores[held] = Model.fit(kind, parameters, X[train], y[train], classify).score(X[held])
    return scores


def _try(
    kind: str, parameters: Mapping[str, Any], X: np.ndarray, y: np.ndarray, fold: np.ndarray, classify: bool
) -> Candidate:
    scores = left_out(kind, parameters, X, y, fold, classify)
    figures = [
        auroc(y[held], scores[held]) if classify else -rmse(y[held], scores[held])
        for _, held in _folds(fold)
        if not classify or len(np.unique(y[held])) == 2
    ]
    return Candidate(kind, parameters, float(np.mean(figures)), scores)


def _folds(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number in np.unique(fold):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

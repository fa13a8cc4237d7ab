"""What a protocol is: which tasks, rows, splits, heads and metrics. One file each in ``protocols/``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from molmv.errors import InputError, UnknownNameError, did_you_mean
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import CLASSIFICATION, Task


class Score(NamedTuple):
    """One number.

    Attributes:
        label: name of the label column.
        split: kind of split.
        seed: of the split or the run.
        head: what was fitted on the embeddings.
        metric: one of :data:`molmv.evaluate.metrics.METRICS`; ``unsupervised`` and ``text`` have their own.
        value: on the test rows; NaN where it is undefined.
        cv: what the head reached in cross-validation on the training rows; NaN if it had none.
        n_train: training rows.
        n_test: test rows.
    """

    label: str
    split: str
    seed: int
    head: str
    metric: str
    value: float
    cv: float
    n_train: int
    n_test: int


class Evaluation(Protocol):
    """A protocol.

    Attributes:
        name: how users call it.
        version: goes up whenever numbers could change; results of another version are not reused.
        suite: where names of tasks are looked up, see :func:`molmv.evaluate.tasks.load_task`.
        tasks: what is evaluated unless tasks are named.
        heads: what is fitted unless heads are named.
        baselines: teachers that are always in the table; may be left out where they are those of molecules.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def suite(self) -> str: ...  # noqa: D102

    @property
    def tasks(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def heads(self) -> tuple[str, ...]: ...  # noqa: D102

    def prepare(self, task: Task) -> Task:
        """The rows and labels as this protocol wants them."""
        ...

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """Kind, seed and rows of each split (of the first label)."""
        ...

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """All scores of one embedder on one task.

        Args:
            task: from :meth:`prepare`.
            X: features of its rows; NaN in rows that the embedder refused.
            discrete: whether they are bits or counts.
            heads: some of :attr:`heads`.
        """
        ...


def folds(y: Float[np.ndarray, " n"], kind: str, count: int = 5, seed: int | None = None) -> Int[np.ndarray, " n"]:
    """A fold for each row, classes spread evenly.

    Args:
        y: labels.
        kind: ``classification`` or ``regression``.
        count: folds.
        seed: shuffles the rows; None takes them as they stand, as scikit-learn's ``cv=5`` does.

    Raises:
        InputError: a class, or all, with fewer rows than folds.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    classes, sizes = np.unique(y, return_counts=True) if kind == CLASSIFICATION else (np.array([0]), np.array([len(y)]))
    if (sizes < count).any() or kind == CLASSIFICATION and len(classes) < 2:
        what = f"class {classes[sizes.argmin()]:g}" if kind == CLASSIFICATION else "the training part"
        raise InputError(
            f"{what} has {sizes.min() if len(classes) > 1 or kind != CLASSIFICATION else 0} training rows, fewer than "
            f"{count} folds.",
            "Give more molecules, or leave this task out.",
        )
    splitter = StratifiedKFold if kind == CLASSIFICATION else KFold
    made = splitter(count, shuffle=seed is not None, random_state=seed)
    out = np.zeros(len(y), dtype=np.int64)
    for fold, (_, held) in enumerate(made.split(y, y)):
        out[held] = fold
    return out


def pick(wanted: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """The wanted names, or all where none is.

    Raises:
        UnknownNameError: one of them is not known.
    """
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known, f"Known: {', '.join(known)}.")
            raise UnknownNameError(f"No {what} is called {name!r}.", hint)
    return tuple(wanted or known)

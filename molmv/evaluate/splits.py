"""Training and test rows: by scaffold, at random, repeated, or as TDC cuts them.

A split by scaffold keeps all molecules with one Bemis-Murcko framework (doi:10.1021/jm9602928) on one side, so that a
model is asked about chemistry that it was not fitted on. Every split here is a function of the molecules and the seed
alone; that by scaffold does not even depend on the order of the rows.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike

from molmv import molecules
from molmv.errors import InputError

KINDS = ("scaffold", "random")


@dataclass(frozen=True)
class Split:
    """Rows to fit on, rows to score on, no row in both; sorted, unless the split is another program's.

    Attributes:
        train: positions of the training rows.
        test: positions of the test rows.
        validation: rows that a protocol holds out of the training rows; empty unless it does.
    """

    train: Int[np.ndarray, " a"]
    test: Int[np.ndarray, " b"]
    validation: Int[np.ndarray, " c"]


def make_split(train: ArrayLike, test: ArrayLike, validation: ArrayLike = ()) -> Split:
    """A split from positions in any order."""
    return Split(*(np.sort(np.asarray(part, dtype=np.int64)) for part in (train, test, validation)))


def scaffold_groups(smiles: Sequence[str]) -> Int[np.ndarray, " n"]:
    """A number for each molecule's scaffold, equal where scaffolds are; those without a ring share one."""
    return np.unique(np.asarray(molecules.scaffolds(smiles), dtype=object).astype(str), return_inverse=True)[1]


def scaffold_split(smiles: Sequence[str], test: float = 0.2, seed: int | None = None) -> Split:
    """Whole scaffolds to either side.

    Args:
        smiles: of the molecules.
        test: share of the rows to test on; met as closely as whole scaffolds allow, never exceeded by much.
        seed: None: the rarest scaffolds are the test part, as in MoleculeNet (arXiv:1703.00564). A number: scaffolds
            in random order, but those of more than half of the test part stay in training.

    Raises:
        InputError: fewer than two scaffolds, or ``test`` is no share.
    """
    wanted = _rows_wanted(len(smiles), test)
    groups = scaffold_groups(smiles)  # numbered by the scaffold's text: the same whatever the order of the rows
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise InputError(f"{len(smiles)} molecules with one scaffold cannot be split by scaffold.", "Split at random.")
    if seed is None:
        order = np.argsort(sizes, kind="stable")
    else:
        order = np.random.default_rng(seed).permutation(len(sizes))
        order = np.concatenate([order[sizes[order] <= wanted / 2], order[sizes[order] > wanted / 2]])
    taken = np.zeros(len(sizes), dtype=bool)
    filled = 0
    for group in order[:-1]:
        if filled >= wanted:
            break
        if filled and filled + sizes[group] > wanted * 1.1:
            continue
        taken[group], filled = True, filled + sizes[group]
    return _from_mask(taken[groups])


def random_split(n: int, test: float = 0.2, seed: int = 0) -> Split:
    """Rows at random.

    Raises:
        InputError: ``test`` is no share of n rows.
    """
    wanted = _rows_wanted(n, test)
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:wanted]] = True
    return _from_mask(mask)


def repeated(kind: str, smiles: Sequence[str], repeats: int = 5, test: float = 0.2) -> Iterator[Split]:
    """Splits of one kind with the seeds 0, 1, ….

    Raises:
        InputError: an unknown kind, or see :func:`scaffold_split`.
    """
    if kind not in KINDS:
        raise InputError(f"No split is called {kind!r}.", f"Known: {', '.join(KINDS)}.")
    for seed in range(repeats):
        yield scaffold_split(smiles, test, seed) if kind == "scaffold" else random_split(len(smiles), test, seed)


def official_split(test: Bool[np.ndarray, " n"]) -> Split:
    """The split that a data set came with, from a mark at each test row."""
    return _from_mask(np.asarray(test, dtype=bool))


def tdc_scaffold_split(smiles: Sequence[str], seed: int = 42, shares: tuple[float, float] = (0.7, 0.1)) -> Split:
    """The scaffold split of Therapeutics Data Commons, row for row, to stand beside numbers made with it.

    Scaffolds of more than half of the validation or test part come first, the others after; both shuffled by Python's
    ``random``, then poured into training, validation and test until each is full (the "balanced" split of chemprop).

    Args:
        smiles: as they stand in TDC's file, in its order.
        seed: TDC's default is 42.
        shares: of the training and the validation part.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for row, scaffold in enumerate(molecules.scaffolds(smiles)):
        groups[scaffold].append(row)
    train_size, validation_size = (int(len(smiles) * share) for share in shares)
    limit = min(validation_size, len(smiles) - train_size - validation_size) / 2
    big = [rows for rows in groups.values() if len(rows) > limit]
    small = [rows for rows in groups.values() if len(rows) <= limit]
    shuffler = random.Random(seed)
    shuffler.shuffle(big)
    shuffler.shuffle(small)
    train: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for rows in big + small:
        if len(train) + len(rows) <= train_size:
            train += rows
        elif len(validation) + len(rows) <= validation_size:
            validation += rows
        else:
            test += rows
    # In the order of the scaffolds: TDC's tables come so, and folds cut without shuffling depend on it.
    return Split(*(np.array(part, dtype=np.int64) for part in (train, test, validation)))


def _rows_wanted(n: int, test: float) -> int:
    wanted = round(n * test)
    if not 0 < test < 1 or not 0 < wanted < n:
        raise InputError(f"A test part of {test:g} of {n} rows is not possible.", "Expected a share between 0 and 1.")
    return wanted


def _from_mask(test: Bool[np.ndarray, " n"]) -> Split:
    return make_split(np.flatnonzero(~test), np.flatnonzero(test))

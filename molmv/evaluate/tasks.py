"""A task: molecules (or texts, or images) with labels, and maybe the split that they came with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
from jaxtyping import Bool, Float64

from molmv import modality, molecules
from molmv.errors import InputError, UnknownNameError, did_you_mean
from molmv.evaluate import moleculenet, sources
from molmv.evaluate.labels import read_table

CLASSIFICATION, REGRESSION = "classification", "regression"
# Suites that are not of molecules: function from a name to a task, as "module:function".
OTHER_SUITES = {
    "text": "molmv.evaluate.text_tasks:load_text_task",
    "vision": "molmv.evaluate.image_tasks:load_image_task",
}


@dataclass(frozen=True)
class Task:
    """Inputs that parse, with a label or several.

    Attributes:
        name: of the data set.
        kind: ``classification`` (labels 0 and 1, of texts and images 0, 1, 2, …) or ``regression``.
        given: the inputs as given (SMILES, texts, paths), one entry a row.
        canonical: the canonical spelling of the same rows.
        Y: labels, one column each; NaN where an input has none.
        labels: names of the columns.
        test: the rows of the official test part; None without one.
        refused: rows of the file that hold no input.
        merged: rows that were merged into another row of the same input.
        conflicts: inputs whose rows disagreed.
        modality: of the inputs.
    """

    name: str
    kind: str
    given: tuple[str, ...]
    canonical: tuple[str, ...]
    Y: Float64[np.ndarray, "n labels"]
    labels: tuple[str, ...]
    test: Bool[np.ndarray, " n"] | None = None
    refused: int = 0
    merged: int = 0
    conflicts: int = 0
    modality: str = "molecule"

    def __len__(self) -> int:
        return len(self.given)

    @property
    def smiles(self) -> tuple[str, ...]:
        """The inputs as given, where these are molecules."""
        return self.given

    @property
    def inputs(self) -> tuple[str, ...]:
        """What an embedder is given: the canonical spelling, where that is an input, so that equal inputs cost one."""
        return self.canonical if modality.of(self.modality).spells else self.given

    def take(self, rows: np.ndarray) -> Task:
        """The task with these rows only, in this order."""
        return replace(
            self,
            given=tuple(self.given[i] for i in rows),
            canonical=tuple(self.canonical[i] for i in rows),
            Y=self.Y[rows],
            test=None if self.test is None else self.test[rows],
        )


def make_task(
    name: str,
    smiles: Sequence[str],
    Y: Float64[np.ndarray, "n labels"],
    labels: Sequence[str],
    kind: str | None = None,
    test: Bool[np.ndarray, " n"] | None = None,
) -> Task:
    """A task of the rows that hold a molecule; the others are counted.

    Args:
        name: how to call it.
        smiles: one a row.
        Y: labels; NaN where missing.
        labels: names of the columns of Y.
        kind: if not given: classification where all labels are 0 or 1.
        test: marks the rows of an official test part.

    Raises:
        InputError: no row holds a molecule, or a label is the same for all of them.
    """
    rows = molecules.screen(list(smiles))
    canonical = molecules.canonicalise(rows)
    good = np.array(rows.good, dtype=np.int64)
    if not len(good):
        reason = f"; row 0: {rows.reason[0]}" if len(rows) else ""
        raise InputError(f"{name}: none of {len(rows)} rows holds a molecule{reason}.", "Check the SMILES column.")
    if kind is None:
        kind = CLASSIFICATION if np.isin(Y[np.isfinite(Y)], (0, 1)).all() else REGRESSION
    task = Task(name, kind, tuple(smiles), tuple(canonical), Y, tuple(labels), test)
    task = replace(task.take(good), refused=len(rows) - len(good))
    for label, y in zip(task.labels, task.Y.T, strict=True):
        found = y[np.isfinite(y)]
        if len(task.labels) == 1 and (not len(found) or (found == found[0]).all()):
            what = f"is {found[0]:g} for all {len(found)} molecules" if len(found) else "has no value"
            raise InputError(f"{name}: the target {label!r} {what}.", "There is nothing to learn: choose another.")
    return task


def merge_duplicates(task: Task) -> Task:
    """One row a molecule (canonical SMILES), in the order of first appearance.

    A regression label becomes the mean of the molecule's rows. Classes that contradict each other are no label at all.
    Both count as conflicts. Where a molecule is in the official training and test part, the test row is dropped.
    """
    if task.test is not None and task.test.any():
        train = {c for c, t in zip(task.canonical, task.test, strict=True) if not t}
        keep = [i for i, c in enumerate(task.canonical) if not task.test[i] or c not in train]
        dropped = len(task) - len(keep)
        task = replace(task.take(np.array(keep)), merged=task.merged + dropped)
    first: dict[str, int] = {}
    group = np.array([first.setdefault(c, len(first)) for c in task.canonical])
    if len(first) == len(task):
        return task
    Y, conflicts = np.full((len(first), task.Y.shape[1]), np.nan), set()
    for column in range(task.Y.shape[1]):
        known = np.isfinite(task.Y[:, column])
        y, g = task.Y[known, column], group[known]
        count = np.bincount(g, minlength=len(first))
        with np.errstate(invalid="ignore"):
            mean = np.bincount(g, y, minlength=len(first)) / count
        differs = np.abs(y - mean[g]) > 1e-9 * np.maximum(1, np.abs(y))
        conflicts |= set(g[differs])
        if task.kind == CLASSIFICATION:
            mean[np.unique(g[differs])] = np.nan
        Y[:, column] = mean
    rows = np.unique(group, return_index=True)[1]
    merged = replace(
        task.take(rows), Y=Y, merged=task.merged + len(task) - len(rows), conflicts=task.conflicts + len(conflicts)
    )
    return merged.take(np.flatnonzero(np.isfinite(Y).any(axis=1)))


def names(suite: str) -> tuple[str, ...]:
    """Data sets of a suite (``tdc`` or ``admet``), sorted."""
    return tuple(sorted({file.name for file in sources.files() if file.suite == suite}))


def load_task(name: str, suite: str = "tdc", censored: str = "refuse") -> Task:
    """A public data set by its name (in any case), or a user's file.

    Args:
        name: ``AMES``; or ``assay.csv:pIC50`` (path, colon, target columns with commas between), where the path may
            be ``https://…#sha256=…``; or ``moleculenet:delaney``, a data set that DeepChem loads.
        suite: ``tdc``, or ``admet`` for the data sets of the ADMET group with their official test part; or one of
            :data:`OTHER_SUITES`.
        censored: of a user's file: see :func:`molmv.evaluate.labels.read_table`.

    Raises:
        UnknownNameError: neither a data set of the suite nor a file.
        InputError: the file cannot be had or read; says what, where, and what to do.
        MissingExtraError: DeepChem is not installed.
    """
    if suite in OTHER_SUITES:
        module, _, function = OTHER_SUITES[suite].partition(":")
        loaded: Task = getattr(import_module(module), function)(name)
        return loaded
    known = {n.lower(): n for n in names(suite)}
    if real := known.get(name.lower()):
        return _public(real, suite)
    if name.startswith(moleculenet.PREFIX):
        return make_task(name, *moleculenet.load(name.removeprefix(moleculenet.PREFIX)))
    address, colon, targets = name.rpartition(":")
    if not colon or targets.startswith("//") or "/" in targets:
        hint = did_you_mean(name, known.values(), "A file is written PATH:TARGET, e.g. assay.csv:pIC50.")
        raise UnknownNameError(f"No task of {suite} is called {name!r}.", hint)
    path = sources.user_file(address)
    smiles, Y, labels = read_table(path, targets.split(","), censored=censored)
    return make_task(f"{path.name}:{targets}", smiles, Y, labels)


def _public(name: str, suite: str) -> Task:
    parts = [file for file in sources.files() if (file.suite, file.name) == (suite, name)]
    tables = [read_table(sources.find(file)) for file in parts]
    smiles = [text for table in tables for text in table[0]]
    Y = np.concatenate([table[1] for table in tables])
    test = np.repeat([file.file.endswith("test.csv") for file in parts], [len(table[0]) for table in tables])
    return make_task(name, smiles, Y, tables[0][2], parts[0].kind, test if suite == "admet" else None)


def describe(task: Task) -> str:
    """What was read, in one line, with what was refused, merged and contradictory."""
    known = np.isfinite(task.Y).sum()
    parts: Iterable[str] = (
        f"{task.name}: {len(task):,} {task.modality}s, {task.kind}",
        f"{len(task.labels)} labels ({known:,} values)" if len(task.labels) > 1 else "",
        f"{task.refused} refused" if task.refused else "",
        f"{task.merged} duplicates merged" if task.merged else "",
        f"{task.conflicts} with conflicting labels" if task.conflicts else "",
    )
    return ", ".join(part for part in parts if part)

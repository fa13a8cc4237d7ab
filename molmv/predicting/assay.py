"""An assay file: molecules with a measured value. What cannot be used keeps its row and gets a reason."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from molmv import molecules
from molmv.errors import InputError
from molmv.formats import CHUNK_ROWS
from molmv.table import open_table

REGRESSION, CLASSIFICATION = "regression", "classification"
TASKS = ("auto", REGRESSION, CLASSIFICATION)
CENSORED = ("refuse", "drop", "keep-bound")
MISSING, BOUND, REPEATED, CONFLICT = "no_value", "censored", "merged", "conflict"

_EMPTY = {"", "nan", "na", "n/a", "none", "null"}
_BOUND = re.compile(r"^(?:<=|>=|<<|>>|<|>|≤|≥|~)\s*(.+)$")
# The class that a probability is of, where the labels are words.
_POSITIVE = {"1", "active", "yes", "true", "positive", "pos", "toxic", "hit"}


@dataclass
class Assay:
    """A file of measured molecules: the rows as they were, and the molecules that came out of them.

    Attributes:
        name: the file.
        sha256: of its bytes.
        target: the column of values.
        task: ``regression`` or ``classification``.
        classes: the two labels, the one that a probability is of last; empty for a regression.
        smiles: one a molecule, as first given.
        y: one value a molecule; 0 or 1 in a classification.
        canonical: RDKit's canonical SMILES, no two equal.
        rows: SMILES, id and value of each row, as text.
        status: ``ok``, or why a row is not used.
        reason: the same as a sentence.
        molecule: position in ``smiles`` of each row; -1 where there is none.
        notes: what a user should know about the file.
    """

    name: str
    sha256: str
    target: str
    task: str
    classes: tuple[str, ...]
    smiles: list[str]
    y: Float64[np.ndarray, " n"]
    canonical: list[str]
    rows: list[tuple[str | None, str | None, str | None]]
    status: list[str]
    reason: list[str]
    molecule: list[int]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.smiles)

    def refuse(self, molecule: int, status: str, reason: str) -> None:
        """Say of all rows of a molecule why it is not used. Its place stays, so that numbers do not shift."""
        for row in (i for i, m in enumerate(self.molecule) if m == molecule):
            self.status[row], self.reason[row] = status, reason


def read_assay(
    path: str | Path,
    target: str,
    *,
    smiles_column: str | None = None,
    id_column: str | None = None,
    task: str = "auto",
    censored: str = "refuse",
    classes: Sequence[str] = (),
) -> Assay:
    """Read and check a file of measured molecules.

    Rows with one canonical SMILES become one molecule: the median of their values, or their label if they agree.

    Args:
        path: csv, tsv, smi or parquet, maybe gzipped.
        target: the column of values.
        smiles_column: found by its name if not given.
        id_column: a column to carry along.
        task: ``auto``: two values or two words are classes, other numbers a regression.
        censored: of values like ``>100``: ``refuse`` the file, ``drop`` the rows, or ``keep-bound`` (100).
        classes: the two labels, if they are known already (for a test file).

    Raises:
        InputError: the file or a column cannot be read, values are no numbers (names the rows), are censored, or
            are all one; no row holds a molecule.
    """
    if task not in TASKS or censored not in CENSORED:
        raise InputError(f"task {task!r}, censored {censored!r}.", f"Known: {', '.join(TASKS)}; {', '.join(CENSORED)}.")
    table = open_table(path, smiles_column, target)
    sha256 = table.digest()
    if sha256 is None:
        raise InputError(f"An assay cannot be read from {table.name}.", "Save it to a file first.")
    smiles, values, problems = _column(path, smiles_column, target)
    ids = _column(path, smiles_column, id_column)[1] if id_column else [None] * len(smiles)
    rows = molecules.screen(smiles, problems)
    canonical = molecules.canonicalise(rows)
    if not any(canonical):
        raise InputError(f"{table.name}: no row holds a molecule. {_first(rows.reason)}.", "Name the SMILES with -s.")
    assay = Assay(
        name=str(path),
        sha256=sha256,
        target=table.id_column or target,
        task=task,
        classes=tuple(classes),
        smiles=[],
        y=np.empty(0),
        canonical=[],
        rows=list(zip(smiles, ids, values, strict=True)),
        status=rows.status,
        reason=rows.reason,
        molecule=[-1] * len(smiles),
    )
    numbers = _numbers(assay, values, censored)
    _merge(assay, canonical, smiles, numbers)
    _note_ids(assay, ids, canonical)
    if len(set(assay.y)) < 2 and not classes:
        shown = f"the value {values[assay.status.index('ok')]!r}" if len(assay) else "no usable value"
        raise InputError(f"{assay.name}: column {assay.target!r} has {shown} in every row.", "There is nothing to fit.")
    return assay


def _column(path: str | Path, smiles_column: str | None, name: str) -> tuple[list, list, dict[int, str]]:
    """The SMILES, one other column, and broken rows. A file is read once for each column beside the SMILES."""
    smiles: list[str | None] = []
    values: list[str | None] = []
    problems: dict[int, str] = {}
    for chunk in open_table(path, smiles_column, name).chunks(CHUNK_ROWS):
        problems.update({chunk.start + i: problem for i, problem in chunk.problems.items()})
        smiles += chunk.values
        values += chunk.ids or []
    return smiles, values, problems


def _numbers(assay: Assay, values: Sequence[str | None], censored: str) -> list[float]:
    """The value of each row; NaN where the row cannot be used. Decides the task."""
    numbers = [math.nan] * len(values)
    bounds: dict[int, float] = {}
    words: dict[int, str] = {}
    for row, value in enumerate(values):
        text = "" if value is None else str(value).strip()
        number = _number(text)
        bound = _BOUND.match(text)
        if number is not None:
            numbers[row] = number
        elif text.lower() in _EMPTY:
            _mark(assay, row, MISSING, f"no value of {assay.target}")
        elif bound and (limit := _number(bound[1])) is not None:
            bounds[row] = limit
        else:
            words[row] = text
    if assay.task == "auto" or assay.task == CLASSIFICATION:
        labels = _classes(assay, numbers, words, bool(bounds))
        if labels:
            assay.task, assay.classes = CLASSIFICATION, labels
            # A bound is no label: in a classification it is one more word that fits neither class.
            words.update({row: str(values[row]) for row in bounds})
            return _labelled(assay, numbers, words)
    assay.task = REGRESSION
    if words:
        raise InputError(
            f"{assay.name}: column {assay.target!r} holds no number in {_places(words)}.",
            "Mend these rows or empty the cells, or name another column with --target.",
        )
    if bounds and censored == "refuse":
        shown = {row: str(values[row]) for row in bounds}
        raise InputError(
            f"{assay.name}: column {assay.target!r} is censored in {_places(shown)}.",
            "Leave such rows out with --censored drop, or take the bound as the value with --censored keep-bound.",
        )
    for row, limit in bounds.items():
        if censored == "drop":
            _mark(assay, row, BOUND, f"censored: {values[row]}")
        else:
            numbers[row] = limit
    if bounds:
        done = "left out" if censored == "drop" else "taken at their bound"
        assay.notes.append(f"{len(bounds)} censored values {done}")
    return numbers


def _number(text: str) -> float | None:
    try:
        value = float(text.removeprefix("="))
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _classes(assay: Assay, numbers: list[float], words: dict[int, str], bounds: bool) -> tuple[str, ...]:
    """The two labels, the positive one last; none if this is a regression."""
    if assay.classes:
        return assay.classes
    found = sorted({_label(v) for v in numbers if not math.isnan(v)}) + sorted(set(words.values()))
    if len(found) == 2 and (assay.task == CLASSIFICATION or not bounds and len(set(words.values())) in (0, 2)):
        positive = [label for label in found if label.lower() in _POSITIVE]
        if len(positive) == 1:
            found.remove(positive[0])
            found.append(positive[0])
        elif not words:
            found.sort(key=float)
        return tuple(found)
    if assay.task == CLASSIFICATION:
        raise InputError(
            f"{assay.name}: column {assay.target!r} has {len(found)} classes ({', '.join(found[:5])}, …)."
            if len(found) > 5
            else f"{assay.name}: column {assay.target!r} has {len(found)} classes ({', '.join(found)}).",
            "Exactly two can be told apart.",
        )
    return ()


def _labelled(assay: Assay, numbers: list[float], words: dict[int, str]) -> list[float]:
    wrong = {row: word for row, word in words.items() if word not in assay.classes}
    wrong |= {row: _label(v) for row, v in enumerate(numbers) if not math.isnan(v) and _label(v) not in assay.classes}
    if wrong:
        known = " nor ".join(repr(label) for label in assay.classes)
        raise InputError(
            f"{assay.name}: column {assay.target!r} is neither {known} in {_places(wrong)}.", "Mend these rows."
        )
    labels = [words[row] if row in words else _label(value) for row, value in enumerate(numbers)]
    return [float(assay.classes.index(label)) if label in assay.classes else math.nan for label in labels]


def _label(value: float) -> str:
    return "" if math.isnan(value) else f"{value:g}"


def _merge(assay: Assay, canonical: list[str], smiles: list[str | None], numbers: list[float]) -> None:
    """One molecule for each canonical SMILES with a value."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(canonical):
        if assay.status[row] == "ok" and text:
            groups[text].append(row)
    y: list[float] = []
    spread, conflicts, repeats = 0.0, 0, 0
    for text, members in groups.items():
        values = [numbers[row] for row in members]
        if assay.task == CLASSIFICATION and len(set(values)) > 1:
            conflicts += 1
            for row in members:
                _mark(assay, row, CONFLICT, f"the molecule has both labels (rows {', '.join(map(str, members))})")
            continue
        spread = max(spread, max(values) - min(values))
        repeats += len(members) > 1
        for row in members[1:]:
            _mark(assay, row, REPEATED, f"the molecule of row {members[0]} again; its values were merged")
        for row in members:
            assay.molecule[row] = len(y)
        assay.smiles.append(str(smiles[members[0]]))
        assay.canonical.append(text)
        y.append(float(np.median(values)))
    assay.y = np.array(y, dtype=np.float64)
    if repeats:
        differing = f", whose values differ by up to {spread:g}" if spread else ""
        assay.notes.append(f"{repeats} molecules stand in more than one row and were merged (median){differing}")
    if conflicts:
        assay.notes.append(f"{conflicts} molecules have both labels and were left out")


def _note_ids(assay: Assay, ids: Sequence[str | None], canonical: Sequence[str]) -> None:
    named: dict[str, set[str]] = defaultdict(set)
    for name, text in zip(ids, canonical, strict=True):
        if name is not None and text:
            named[name].add(text)
    twice = [name for name, found in named.items() if len(found) > 1]
    if twice:
        assay.notes.append(f"{len(twice)} ids belong to more than one molecule, e.g. {twice[0]!r}; all were kept")


def _mark(assay: Assay, row: int, status: str, reason: str) -> None:
    if assay.status[row] == "ok" or status in (CONFLICT, REPEATED):
        assay.status[row], assay.reason[row] = status, reason


def _places(cells: dict[int, str], shown: int = 3) -> str:
    """Rows with what they hold: ``row 3 ('>100'), row 7 ('n.d.') and 2 more``."""
    places = [f"row {row} ({text[:20]!r})" for row, text in sorted(cells.items())[:shown]]
    more = f" and {len(cells) - shown} more" if len(cells) > shown else ""
    return ", ".join(places) + more


def _first(reasons: Sequence[str]) -> str:
    row = next((i for i, reason in enumerate(reasons) if reason), 0)
    return f"Row {row}: {reasons[row]}" if reasons else "It has no rows"

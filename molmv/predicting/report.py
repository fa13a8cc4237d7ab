"""What a fit leaves in its folder for people: tables, rows, numbers and figures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from molmv.evaluate.splits import Split
    from molmv.predicting.assay import Assay
    from molmv.predicting.tested import Tested


@dataclass(frozen=True)
class Sheet:
    """Each row of the files with what became of it.

    Attributes:
        assays: the file, and maybe the test file.
        origin: which file and which molecule of it, one entry a molecule.
        split: positions of the training and test molecules.
        fold: of each training molecule.
        left_out: what the folds without it said of each training molecule.
        tested: the test molecules.
    """

    assays: Sequence[Assay]
    origin: Sequence[tuple[int, int]]
    split: Split
    fold: np.ndarray
    left_out: np.ndarray
    tested: Tested


_ROW = ("file", "row", "id", "smiles", "value", "status", "reason")
_MOLECULE = ("molecule", "part", "fold", "left_out", "prediction", "lower", "upper", "in_domain", "similarity")
HEADER = _ROW + _MOLECULE


def write_rows(path: Path, sheet: Sheet) -> None:
    """One line for each row of the files, in their order: nothing is lost, and the split can be read from it."""
    place = {origin: i for i, origin in enumerate(sheet.origin)}
    train = {int(molecule): i for i, molecule in enumerate(sheet.split.train)}
    test = {int(molecule): i for i, molecule in enumerate(sheet.split.test)}
    tested = sheet.tested
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number, assay in enumerate(sheet.assays):
            for row, (smiles, name, value) in enumerate(assay.rows):
                molecule = place.get((number, assay.molecule[row]), -1)
                line = [Path(assay.name).name, row, name, smiles, value, assay.status[row], assay.reason[row]]
                line.append(molecule if molecule >= 0 else "")
                if molecule in train:
                    i = train[molecule]
                    line += ["train", sheet.fold[i], _short(sheet.left_out[i])]
                elif molecule in test:
                    i = test[molecule]
                    numbers = (tested.prediction[i], tested.lower[i], tested.upper[i])
                    line += ["test", "", "", *map(_short, numbers), tested.in_domain[i], _short(tested.similarity[i])]
                writer.writerow(line + [""] * (len(HEADER) - len(line)))


def write_numbers(
    folder: Path,
    table: Sequence[Any],
    figures: Mapping[str, float],
    notes: Sequence[str],
    parameters: Mapping[str, Any],
    versions: Mapping[str, str],
) -> None:
    """``heads.csv``, ``metrics.json``, ``parameters.json``, ``environment.json`` and ``notes.txt``."""
    with (folder / "heads.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = list(table[0].test)
        writer.writerow(["model", "kept", "parameters", "cv", *names])
        for line in table:
            figures_of_line = [_short(line.test[name]) for name in names]
            writer.writerow([line.name, line.chosen, json.dumps(line.parameters), _short(line.cv), *figures_of_line])
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    for name, content in (("metrics", finite), ("parameters", parameters), ("environment", versions)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "notes.txt").write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")


def write(
    folder: Path,
    sheet: Sheet,
    table: Sequence[Any],
    figures: Mapping[str, float],
    notes: Sequence[str],
    parameters: Mapping[str, Any],
    versions: Mapping[str, str],
) -> None:
    """Write all of it.

    Raises:
        OutputError: the system refuses to write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / "rows.csv", sheet)
        write_numbers(folder, table, figures, notes, parameters, versions)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.", "Check the disk.") from error
    try:
        from molmv.predicting.charts import draw

        draw(folder, sheet.tested, table)
    except MissingExtraError:
        return  # the numbers are there


def _short(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else ""

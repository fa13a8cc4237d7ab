"""A file of molecules with labels: SMILES and numbers out, and a message that names the row for what is neither."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from molmv.errors import InputError
from molmv.textfile import TextFile

SMILES_COLUMNS = ("smiles", "drug", "canonical_smiles", "input")
# Columns of the public data sets that are no labels.
_NOT_LABELS = ("drug_id", "species")
_CENSORED = re.compile(r"^\s*(?:[<>≤≥~]=?|=[<>])\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*$")
CENSORED = ("refuse", "drop", "keep-bound")


def read_table(
    path: Path, targets: Sequence[str] = (), smiles_column: str | None = None, censored: str = "refuse"
) -> tuple[list[str], Float64[np.ndarray, "n labels"], tuple[str, ...]]:
    """SMILES, labels (NaN where the cell is empty) and the names of the labels; one entry a row, blank lines included.

    Args:
        path: csv or tsv, maybe gzipped, or parquet.
        targets: columns with labels; none: all but SMILES, ``Drug_ID`` and ``species``.
        smiles_column: found by its name if not given.
        censored: what to do with ``>100``: ``refuse`` the file, ``drop`` the value, or ``keep-bound`` (100).

    Raises:
        InputError: no file, no such column, a cell that is no number or is censored: names the rows.
    """
    import pandas as pd

    if censored not in CENSORED:
        raise InputError(f"Censored values: {censored!r} is not possible.", f"Use one of {', '.join(CENSORED)}.")
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path).astype("string").fillna("")
        else:
            separator = "\t" if {".tsv", ".tab"} & set(path.suffixes) else ","
            text = io.StringIO("".join(TextFile(path).lines()))  # bounded, unlike what pandas unpacks
            frame = pd.read_csv(text, sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}") from error
    lower = {str(column).lower(): str(column) for column in reversed(frame.columns)}
    smiles = smiles_column or next((lower[name] for name in SMILES_COLUMNS if name in lower), None)
    columns = list(targets) or [c for c in frame.columns if c != smiles and c.lower() not in _NOT_LABELS]
    for column in (smiles, *columns):
        if column is None or column not in frame.columns:
            what = "column of SMILES" if column in (None, smiles) else f"column {column!r}"
            raise InputError(f"{path} has no {what}.", f"Its columns: {', '.join(frame.columns)}.")
    Y = [parse_labels(frame[column].fillna("").tolist(), column, str(path), censored) for column in columns]
    if not len(frame):
        raise InputError(f"{path} has a header but no rows.", "Give a file with molecules.")
    return frame[smiles].fillna("").tolist(), np.stack(Y, axis=1), tuple(columns)


def parse_labels(cells: Sequence[str], column: str, where: str, censored: str = "refuse") -> Float64[np.ndarray, " n"]:
    """Numbers from cells; NaN where a cell is empty.

    Raises:
        InputError: cells that are no finite number, or censored ones that nobody said how to read; names their rows.
    """
    values, strange, bounds = np.full(len(cells), np.nan), [], []
    for row, cell in enumerate(cells):
        text = cell.strip()
        if text.lower() in ("", "na", "nan", "null", "none"):
            continue
        if match := _CENSORED.match(text):
            bounds.append(row)
            if censored == "keep-bound":
                values[row] = float(match[1])
            continue
        try:
            values[row] = float(text)
        except ValueError:
            strange.append(row)
        else:
            if not np.isfinite(values[row]):
                strange.append(row)
    if strange:
        raise InputError(
            f"{where}: the target {column!r} is not a number in {_rows(cells, strange)}.",
            "Correct or empty these cells.",
        )
    if bounds and censored == "refuse":
        raise InputError(
            f"{where}: the target {column!r} is censored in {_rows(cells, bounds)}: a bound is no measurement.",
            "Choose --censored drop, or --censored keep-bound to take the bound as the value.",
        )
    return values


def _rows(cells: Sequence[str], rows: Sequence[int], shown: int = 3) -> str:
    """The first of the rows, counted from 0 after the header as everywhere in molmv."""
    first = ", ".join(f"row {row} ({cells[row].strip()[:20]!r})" for row in rows[:shown])
    return first + (f" and {len(rows) - shown} more" if len(rows) > shown else "")

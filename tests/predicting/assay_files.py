"""Writes small assay files."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

Write = Callable[..., Path]


def write_assay(path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = ("smiles", "pIC50")) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path

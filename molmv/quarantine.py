"""Rows that stalled or killed the process that embedded them, listed beside the output: ``OUT.quarantine.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from molmv.atomic import replacing
from molmv.errors import OutputError
from molmv.rows import QUARANTINED, Rows
from molmv.table import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("row", "id", "input", "status", "reason")


def quarantine_path(out: Path) -> Path:
    """Where the list of an output is, if there is anything to list."""
    return out.with_name(f"{out.name}.quarantine.csv")


def list_blocks(path: Path, blocks: Iterable[tuple[str, pa.Table]]) -> None:
    """List what is to be listed of some blocks, each with the name of its input file; no file if there is nothing.

    Raises:
        OutputError: the list cannot be written.
    """
    found = []
    for source, table in blocks:
        names = table.column_names
        value = names[names.index("status") - 1]
        key = names[1] if names[1] != value else None
        for line in table.drop_columns("embedding").to_pylist():
            if line["status"] in QUARANTINED:
                found.append(
                    (source, line["row"], line[key] if key else "", line[value], line["status"], line["reason"])
                )
    _write(path, ("source", *COLUMNS), found)


class Quarantine:
    """The list of one output, kept while it is written.

    Args:
        out: the output, a file or a folder.
        rows: of the output that are finished; what an interrupted run listed beyond them is dropped.

    Raises:
        OutputError: the list of the interrupted run cannot be read.
    """

    def __init__(self, out: Path, rows: int) -> None:
        self.path = quarantine_path(out)
        self._entries: list[list[str]] = []
        if self.path.exists():
            try:
                with self.path.open(newline="", encoding="utf-8") as file:
                    self._entries = [entry for entry in list(csv.reader(file))[1:] if int(entry[0]) < rows]
            except (OSError, ValueError, IndexError, csv.Error) as error:
                raise OutputError(f"{self.path} is damaged: {error}.", "Delete it.") from error
            self._write()

    def add(self, chunk: Chunk, rows: Rows) -> None:
        """List what is to be listed of the next rows; to be called before they count as finished."""
        found = [i for i, status in enumerate(rows.status) if status in QUARANTINED]
        if found:
            ids = chunk.ids or [None] * len(chunk)
            cells = [(chunk.start + i, ids[i], chunk.values[i], rows.status[i], rows.reason[i]) for i in found]
            self._entries += [["" if cell is None else str(cell) for cell in row] for row in cells]
            self._write()

    def _write(self) -> None:
        _write(self.path, COLUMNS, self._entries)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])

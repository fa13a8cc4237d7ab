"""Rows that stalled or killed the process that embedded them, listed beside the output: ``OUT.quarantine.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

from molmv.atomic import replacing
from molmv.errors import OutputError
from molmv.rows import QUARANTINED, Rows
from molmv.table import Chunk

COLUMNS = ("row", "id", "input", "status", "reason")


def quarantine_path(out: Path) -> Path:
    """Where the list of an output is, if there is anything to list."""
    return out.with_name(f"{out.name}.quarantine.csv")


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

    def clear(self) -> None:
        """Forget all, and remove the file."""
        self._entries.clear()
        self._write()

    def _write(self) -> None:
        if not self._entries:
            self.path.unlink(missing_ok=True)
            return
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *self._entries])

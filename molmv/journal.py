"""What a shard has done, line by line: ``_blocks-2-of-8.jsonl``.

A line is a JSON object with the beginning of its own SHA-256; the last holds that of all lines before it. Lines are
only appended, and half a line, as a killed writer leaves it, is no line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from molmv.documents import parse_json, read_json_lines
from molmv.errors import InputError, OutputError, StoreError

# What the lines hold.
_KINDS: tuple[dict[str, type], ...] = (
    {"job": dict, "shard": list, "sources": list},
    {"source": str, "digest": str},
    {"source": str, "rows": int},
    {"source": str, "number": int, "start": int, "status": dict, "sha256": str},
    {"complete": str},
)


@dataclass(frozen=True)
class Shard:
    """One of some runs that share the blocks: number ``index`` of ``count``, from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """From ``i/n``.

        Raises:
            InputError: it is no such thing.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise InputError(f"Expected a shard like 3/8, found {text!r}.", "Count them from 1.")
        return cls(int(index), int(count))

    def takes(self, source: int, sources: int, number: int) -> bool:
        """Whether a block is its own. Whole files where there is one for each shard, since all of a file is read."""
        return (source if sources >= self.count else source + number) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"


@dataclass(frozen=True)
class Entry:
    """What a journal says of a block; see :class:`Block`."""

    source: str
    number: int
    start: int
    status: dict[str, int]
    sha256: str

    @property
    def rows(self) -> int:
        """How many rows the block has."""
        return sum(self.status.values())

    @property
    def file(self) -> str:
        """Name of its file."""
        return block_file(self.source, self.number)


def block_file(source: str, number: int) -> str:
    """Name of a block's file."""
    return f"{source}-{number:06d}.parquet"


def journal_path(folder: Path, shard: Shard) -> Path:
    """Where a shard notes its blocks."""
    return folder / f"_blocks-{shard}.jsonl"


class Journal:
    """What one shard has done.

    Args:
        path: see :func:`journal_path`; it need not exist.

    Attributes:
        head: ``job``, ``shard`` and ``sources`` (names of all input files); empty before :meth:`begin`.
        digests: SHA-256 of each input file that was begun.
        lengths: rows of each input file that was read to its end.
        blocks: finished ones, by name of their file.
        complete: whether nothing is left to do.

    Raises:
        StoreError: it was changed; names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: dict[str, Any] = {}
        self.digests: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        self.blocks: dict[str, Entry] = {}
        self.complete = False
        self._whole = 0  # bytes of whole lines
        self._hash = hashlib.sha256()
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            for line, entry in read_json_lines(self.path):  # half a line: the writer was killed
                checked = entry.pop("line")
                if checked != _line_hash(entry):
                    raise ValueError("a line is not what was written")
                if entry.get("complete") not in (None, self._hash.hexdigest()):
                    raise ValueError("lines are missing or changed")
                self._take(entry)
                self._hash.update(line)
                self._whole += len(line)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}.", "Check its rights.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{self.path} was changed: {error}.", "Start over with --overwrite.") from error

    def _take(self, entry: dict[str, Any]) -> None:
        _check(entry)
        if "job" in entry:
            self.head = entry
        elif "digest" in entry:
            self.digests[entry["source"]] = entry["digest"]
        elif "rows" in entry:
            self.lengths[entry["source"]] = entry["rows"]
        elif "complete" in entry:
            self.complete = True
        else:
            block = Entry(**entry)
            self.blocks[block.file], self.complete = block, False

    def begin(self, job: dict[str, Any], shard: Shard, sources: Sequence[str]) -> None:
        """Say what is done."""
        self._add({"job": job, "shard": [shard.index, shard.count], "sources": list(sources)})

    def begin_source(self, source: str, digest: str) -> None:
        """Say which input file is read.

        Raises:
            OutputError: an earlier run read another one of that name.
        """
        if self.digests.get(source, digest) != digest:
            raise OutputError(f"{self.path}: {source} has changed since.", "Start over with --overwrite.")
        if source not in self.digests:
            self._add({"source": source, "digest": digest})

    def end_source(self, source: str, rows: int) -> None:
        """Say how long it was."""
        if source not in self.lengths:
            self._add({"source": source, "rows": rows})

    def add(self, block: Entry) -> None:
        """Note a block that is written."""
        self._add(asdict(block))

    def finish(self) -> None:
        """Say that nothing is left to do."""
        if not self.complete:
            self._add({"complete": self._hash.hexdigest()})

    def _add(self, entry: dict[str, Any]) -> None:
        line = json.dumps({**entry, "line": _line_hash(entry)}).encode() + b"\n"
        try:
            with self.path.open("rb+" if self._whole else "wb") as file:
                file.seek(self._whole)
                file.truncate()  # half a line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.path}: {error.strerror}.", "Check the disk and its rights."
            ) from error
        self._hash.update(line)
        self._whole += len(line)
        self._take(parse_json(json.dumps(entry)))


def _check(entry: dict[str, Any]) -> None:
    """Refuse a line that no writer wrote, whose hash was made to fit."""
    kind = next((kind for kind in _KINDS if kind.keys() == entry.keys()), {})
    source, counts = entry.get("source", ""), [entry[key] for key in ("rows", "number", "start") if key in entry]
    counts += [*entry.get("shard", ()), *entry.get("status", {}).values()]
    if not kind or not all(type(entry[key]) is kind[key] for key in kind):
        raise ValueError("a line says what no line does")
    if not all(type(count) is int and count >= 0 for count in counts) or len(entry.get("shard", (1, 1))) != 2:
        raise ValueError("a number is impossible")
    if Path(source).name != source or not all(type(name) is str for name in entry.get("sources", ())):
        raise ValueError("an input file has no name, or a path")


def _line_hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry).encode()).hexdigest()[:16]

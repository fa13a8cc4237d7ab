"""The finished chunks of a file job, kept beside its output until all are there: ``OUT.parts/``.

Every part is an Arrow file, which costs almost nothing to write and to read, and appears whole or not at all.
``manifest.json`` says what the job is and holds the hash of each part, so that an interrupted job goes on only with the
same input, model and options.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.arrow_file import read_arrow
from molmv.atomic import replacing
from molmv.documents import parse_json, read_json
from molmv.errors import OutputError
from molmv.hashing import sha256
from molmv.locking import LOCK, locked

if TYPE_CHECKING:
    import pyarrow as pa

_HINT = "Start over with --overwrite."


class Parts:
    """Finished chunks, in order; made by :func:`open_parts`.

    Attributes:
        folder: where they are.
        job: what they are part of (input, model, options, versions); of any job if None is given.
        schema: their columns; any with a status if None is given.
        counts: rows with each status.
    """

    def __init__(self, folder: Path, job: dict[str, Any] | None = None, schema: pa.Schema | None = None) -> None:
        self.folder, self.schema = folder, schema
        self.job = job or {}
        self._any_job = job is None
        self.counts: Counter[str] = Counter()
        self._entries: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return self.counts.total()

    def add(self, table: pa.Table) -> None:
        """Keep one more chunk; when this returns it survives a kill and a power cut."""
        import pyarrow as pa

        path = self._path(len(self))
        with replacing(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as file:
            file.write_table(table)
        counts = Counter(table.column("status").to_pylist())
        self._entries.append({"file": path.name, "sha256": sha256(path), "status": dict(counts)})
        self.counts += counts
        content: dict[str, Any] = {"job": self.job, "parts": self._entries}
        content["sha256"] = _digest(content)
        with replacing(self._manifest) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The chunks, one at a time; all columns or some.

        Raises:
            OutputError: one is damaged; names it.
        """
        for i in range(len(self)):
            table = self._read(i)
            yield table if columns is None else table.select(columns)

    def clear(self) -> None:
        """Forget all chunks."""
        self.counts.clear()
        self._entries.clear()
        for path in [self._manifest, *self.folder.glob("part-*.arrow*")]:  # the manifest first: none without parts
            path.unlink(missing_ok=True)

    def resume(self) -> None:
        """Take over the chunks of an interrupted run.

        Raises:
            OutputError: they are of another job, or one is damaged; says which.
        """
        if not self._manifest.exists():
            return
        try:
            found = read_json(self._manifest)
            if found.pop("sha256") != _digest(found):
                raise ValueError("its hash is not the recorded one")
            entries = found["parts"]
            recorded = [(entry["sha256"], Counter[str](entry["status"])) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(f"{self._manifest} is damaged: {error}.", _HINT) from error
        changed = [] if self._any_job else differences(found.get("job"), self.job)
        if changed:
            raise OutputError(f"{self.folder} is of another job: {', '.join(changed)} changed.", _HINT)
        for i, (digest, counts) in enumerate(recorded):
            path = self._path(i)
            try:
                whole = sha256(path) == digest
            except OSError as error:
                raise OutputError(f"{path} is missing or damaged: {error.strerror}.", _HINT) from error
            if not whole:
                raise OutputError(f"{path} is missing or damaged: its hash is not the recorded one.", _HINT)
            if Counter(self._read(i).column("status").to_pylist()) != counts:
                raise OutputError(f"{path} is damaged: it holds other rows than {self._manifest.name} says.", _HINT)
        self._entries, self.counts = entries, sum((counts for _, counts in recorded), Counter())

    def _read(self, i: int) -> pa.Table:
        path = self._path(i)
        try:
            table = read_arrow(path)
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} is damaged: {error}.", _HINT) from error
        kinds = [str(field.type) for field in table.schema if field.name == "status"]
        if kinds != ["string"] or not table.schema.equals(self.schema or table.schema):
            raise OutputError(f"{path} is damaged: its columns are those of another job.", _HINT)
        return table

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _path(self, i: int) -> Path:
        return self.folder / f"part-{i:05d}.arrow"


def parts_folder(out: Path) -> Path:
    """Where the finished chunks of this output are kept."""
    return out.with_name(f"{out.name}.parts")


@contextmanager
def open_parts(out: Path, job: dict[str, Any], schema: pa.Schema, resume: bool, overwrite: bool) -> Iterator[Parts]:
    """The parts of an output, locked against a second writer; a folder left without parts goes away.

    Args:
        out: the output they will become.
        job: what the run is: JSON-serialisable.
        schema: columns of every part.
        resume: go on with the parts of an interrupted run, if there are any.
        overwrite: drop them.

    Raises:
        OutputError: another run writes it; or there are parts, and neither or no permitted choice what to do with them.
    """
    folder = parts_folder(out)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror}.", "Check the folder and its rights.") from error
    try:
        with locked(folder / LOCK, out):
            parts = Parts(folder, parse_json(json.dumps(job)), schema)
            try:
                if resume:
                    parts.resume()
                elif overwrite:
                    parts.clear()
                elif parts._manifest.exists():
                    raise OutputError(
                        f"{folder} holds the finished chunks of an interrupted run.",
                        "Go on with --resume, or start over with --overwrite.",
                    )
                yield parts
            finally:
                with suppress(OSError):  # nobody may look any more
                    if not parts._manifest.exists():
                        shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def differences(old: Any, new: dict[str, Any], prefix: str = "") -> list[str]:
    """Names of the entries that two jobs do not share, each with both values where they are short."""
    old = old if isinstance(old, dict) else {}
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before != now and isinstance(now, dict):
            found += differences(before, now, f"{prefix}{name}.")
        elif before != now:
            short = len(f"{before}{now}") <= 60
            found.append(f"{prefix}{name}" + (f" ({before}, now {now})" if short else ""))
    return found

"""The embedding store: one folder a teacher, with one row for each row of its corpus.

A store is a ``manifest.json`` and parts ``part-00000.arrow``, … (Arrow IPC files, uncompressed, so that reading is a
memory map). Each part has the columns ``row``, ``key`` (hash of the canonical input), ``status``, ``reason`` and
``value`` (a fixed-size list). A part becomes visible only when the manifest names it with its SHA-256, and both are
written to a temporary name and renamed: a killed writer leaves a store that is whole up to some part. The manifest
holds a SHA-256 of the rest of itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from jaxtyping import Bool, Float32, Int, UInt64

from molmv.arrow_file import read_arrow
from molmv.atomic import replacing
from molmv.documents import read_json
from molmv.errors import OutputError, StoreError
from molmv.hashing import sha256
from molmv.locking import locked_folder
from molmv.rows import VALID

FORMAT = 1
MANIFEST = "manifest.json"
MAX_DIM = 1 << 24
# How a vector is kept -> (numpy type, numbers in one cell)
ENCODINGS = {"float32": np.float32, "float16": np.float16, "bits": np.uint8, "uint8": np.uint8, "uint16": np.uint16}


@dataclass(frozen=True)
class Header:
    """What a store holds; two runs with equal headers may continue each other.

    Attributes:
        teacher: its name.
        digest: SHA-256 that identifies the teacher's weights and options.
        dim: width of a vector.
        likelihood: how its outputs are distributed (a name of :mod:`molmv.density`).
        encoding: one of :data:`ENCODINGS`.
        corpus: SHA-256 of the corpus file.
        provenance: licence, source, versions; free JSON.
    """

    teacher: str
    digest: str
    dim: int
    likelihood: str
    encoding: str
    corpus: str
    provenance: Mapping[str, Any]

    @property
    def width(self) -> int:
        """Numbers that a vector is kept in."""
        return -(-self.dim // 8) if self.encoding == "bits" else self.dim

    def same_job(self, other: Header) -> list[str]:
        """Names of the fields, provenance aside, in which two headers differ."""
        fields = ("teacher", "digest", "dim", "likelihood", "encoding", "corpus")
        return [f for f in fields if getattr(self, f) != getattr(other, f)]


def encode(values: Float32[np.ndarray, "n dim"], encoding: str) -> np.ndarray:
    """Pack vectors for storage; NaN rows become zeros (the status column says that they are not vectors).

    Numbers beyond the range of the encoding become its limit.

    Raises:
        StoreError: the encoding is for bits or counts, and some values are not.
    """
    values = np.where(np.isfinite(values), values, 0)
    if encoding == "bits":
        if ((values != 0) & (values != 1)).any():
            raise StoreError("Expected bits, found other numbers.", "Give the teacher's card another likelihood.")
        return np.packbits(values > 0, axis=1)
    kind: np.dtype[Any] = np.dtype(ENCODINGS[encoding])
    if kind.kind == "f":
        limit = np.finfo(kind).max
        return np.clip(values, -limit, limit).astype(kind)
    if ((values < 0) | (values % 1 != 0)).any():
        raise StoreError("Expected counts, found other numbers.", "Give the teacher's card another likelihood.")
    return np.minimum(values, np.iinfo(kind).max).astype(kind)


def decode(packed: np.ndarray, encoding: str, dim: int) -> Float32[np.ndarray, "n dim"]:
    """Undo :func:`encode`."""
    if encoding == "bits":
        return np.unpackbits(packed, axis=1, count=dim).astype(np.float32)
    return packed.astype(np.float32)


class StoreWriter:
    """Appends chunks to a store, continuing where an earlier run stopped.

    Args:
        path: the store's folder; made if absent.
        header: what is written. A store with another header is refused, not mixed.

    Raises:
        StoreError: the folder holds a store of another teacher or corpus, or a damaged one.
        OutputError: the folder cannot be made.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = Path(path), header
        self.parts: list[dict[str, Any]] = []
        self.complete = False
        if (self.path / MANIFEST).exists():
            manifest = _read_manifest(self.path)
            differing = header.same_job(_header(manifest))
            if differing:
                raise StoreError(
                    f"{self.path} holds another job: it differs in {', '.join(differing)}.",
                    "Write to another folder, or delete this one.",
                )
            self.parts, self.complete = manifest["parts"], manifest["complete"]
            for part in self.parts:
                _open_part(self.path, part, _cell_type(header), verify=True)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the folder {self.path}: {error.strerror}.", "Name another one.") from error

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return sum(part["rows"] for part in self.parts)

    def append(
        self,
        values: Float32[np.ndarray, "n dim"],
        keys: UInt64[np.ndarray, " n"],
        status: Sequence[str],
        reason: Sequence[str],
    ) -> None:
        """Add the next rows. Safe against a kill at any moment."""
        if values.shape != (len(keys), self.header.dim) or len(status) != len(keys) or len(reason) != len(keys):
            raise StoreError(
                f"Expected {len(keys)} rows x {self.header.dim}, got vectors {values.shape}, {len(status)} statuses."
            )
        try:
            packed = encode(values, self.header.encoding)
        except StoreError as error:
            raise StoreError(f"Teacher {self.header.teacher!r}: {error.message}", error.hint) from error
        cells = pa.FixedSizeListArray.from_arrays(pa.array(packed.reshape(-1)), packed.shape[1])
        table = pa.table(
            {
                "row": pa.array(np.arange(self.rows, self.rows + len(keys))),
                "key": pa.array(keys),
                "status": pa.array(status, pa.string()),
                "reason": pa.array(reason, pa.string()),
                "value": cells,
            }
        ).combine_chunks()
        name = f"part-{len(self.parts):05d}.arrow"
        with pa.BufferOutputStream() as sink:
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=max(len(keys), 1))
            data = sink.getvalue()
        _write(self.path / name, data)
        self.parts.append({"file": name, "rows": len(keys), "sha256": hashlib.sha256(data).hexdigest()})
        self._write_manifest()

    def finish(self) -> None:
        """Declare that the corpus has no more rows."""
        self.complete = True
        self._write_manifest()

    def _write_manifest(self) -> None:
        manifest = {"format": FORMAT, **self.header.__dict__, "complete": self.complete, "parts": self.parts}
        manifest["sha256"] = _digest(manifest)
        _write(self.path / MANIFEST, json.dumps(manifest, indent=1).encode())


@contextmanager
def open_store_writer(path: Path, header: Header) -> Iterator[StoreWriter]:
    """A :class:`StoreWriter`, locked against a second one.

    Raises:
        OutputError: another run writes the store, or the folder cannot be made.
        StoreError: see :class:`StoreWriter`.
    """
    with locked_folder(path):
        yield StoreWriter(path, header)


class EmbeddingStore:
    """A finished store, memory-mapped.

    Args:
        path: the store's folder.
        verify: compare every part with its hash (reads the whole store once).

    Raises:
        StoreError: no store, an unfinished one, or a part that is missing or was changed; the message names it.
    """

    def __init__(self, path: Path, verify: bool = True) -> None:
        self.path = Path(path)
        manifest = _read_manifest(self.path)
        self.header = _header(manifest)
        if not manifest["complete"]:
            raise StoreError(f"{self.path} is unfinished.", "Run the same `molmv teachers embed` again to finish it.")
        cells = _cell_type(self.header)
        tables = [_open_part(self.path, part, cells, verify) for part in manifest["parts"]]
        self.offsets = np.cumsum([0] + [part["rows"] for part in manifest["parts"]])
        self.cells = [self._cells(table) for table in tables]
        self.keys: UInt64[np.ndarray, " n"] = np.concatenate(
            [t["key"].to_numpy() for t in tables] or [np.zeros(0, np.uint64)]
        )
        self.status: list[str] = [s for t in tables for s in t["status"].to_pylist()]
        self.valid: Bool[np.ndarray, " n"] = np.array([s in VALID for s in self.status], dtype=bool)
        expected = np.concatenate([t["row"].to_numpy() for t in tables] or [np.zeros(0)])
        if not np.array_equal(expected, np.arange(len(self))):
            raise StoreError(f"{self.path}: rows are not 0 … {len(self) - 1} in order.", "Embed the corpus again.")

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def _cells(self, table: pa.Table) -> np.ndarray:
        column = table["value"]
        if column.num_chunks == 0:
            return np.zeros((0, column.type.list_size), ENCODINGS[self.header.encoding])
        return column.chunk(0).flatten().to_numpy(zero_copy_only=True).reshape(-1, column.type.list_size)

    def take(self, rows: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b dim"]:
        """Vectors of some rows, in the order asked for; zeros where not :attr:`valid`.

        Raises:
            StoreError: a row beyond the end.
        """
        rows = np.asarray(rows)
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self)):
            beyond = rows.max() if rows.min() >= 0 else rows.min()
            raise StoreError(f"{self.path} has {len(self)} rows; row {beyond} was asked for.")
        width = self.cells[0].shape[1] if self.cells else self.header.dim
        packed = np.empty((len(rows), width), ENCODINGS[self.header.encoding])
        part = np.searchsorted(self.offsets, rows, side="right") - 1
        for p in np.unique(part):
            here = part == p
            packed[here] = self.cells[p][rows[here] - self.offsets[p]]
        return decode(packed, self.header.encoding, self.header.dim)

    @cached_property
    def constant(self) -> Int[np.ndarray, " k"]:
        """Positions of the columns in which all valid rows hold the same, as kept; reads the store once.

        All columns where there are fewer than two valid rows.
        """
        first: np.ndarray | None = None
        varies = np.zeros(self.cells[0].shape[1] if self.cells else self.header.dim, np.uint8)
        for start, cells in zip(self.offsets, self.cells, strict=False):
            good = cells[self.valid[start : start + len(cells)]]
            if not len(good):
                continue
            first = good[0] if first is None else first
            if self.header.encoding == "bits":  # eight columns in a byte
                varies |= np.bitwise_or.reduce(good ^ first, axis=0)
            else:
                varies |= (good != first).any(axis=0)
        if self.header.encoding == "bits":
            varies = np.unpackbits(varies, count=self.header.dim)
        return np.flatnonzero(varies == 0)


def check_same_rows(stores: Sequence[EmbeddingStore]) -> None:
    """Refuse stores that are not about the same rows: a shuffled or shorter teacher must never be broadcast.

    A row that one teacher refused has key 0 there and is not compared.

    Raises:
        StoreError: lengths or keys differ; names both stores and the first row.
    """
    first = stores[0]
    for store in stores[1:]:
        if len(store) != len(first):
            raise StoreError(f"{store.path} has {len(store)} rows, {first.path} has {len(first)}.")
        differing = differing_rows(store.keys, first.keys)
        if len(differing):
            raise StoreError(f"{store.path} and {first.path} hold different molecules, first at row {differing[0]}.")


def differing_rows(keys: UInt64[np.ndarray, " n"], others: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    """The rows in which two stores have different molecules; key 0, of a row that one refused, differs from none."""
    return np.flatnonzero((keys != others) & (keys != 0) & (others != 0))


def _cell_type(header: Header) -> pa.DataType:
    """How one vector is kept."""
    return pa.list_(pa.from_numpy_dtype(ENCODINGS[header.encoding]), header.width)


def _open_part(folder: Path, part: Mapping[str, Any], cells: pa.DataType, verify: bool) -> pa.Table:
    name = str(part["file"])
    if Path(name).name != name:
        raise StoreError(f"{folder / MANIFEST}: part {name!r} lies outside of the store.")
    path = folder / name
    if not path.is_file():
        raise StoreError(f"{path} is missing.", "Embed the corpus again.")
    if verify:
        found = sha256(path)
        if found != part["sha256"]:
            raise StoreError(f"{path} was changed: its SHA-256 is {found}, expected {part['sha256']}.")
    try:
        table = read_arrow(path)
    except (ValueError, OSError) as error:
        raise StoreError(f"{path} is not an Arrow file: {error}") from error
    if len(table) != part["rows"]:
        raise StoreError(f"{path} has {len(table)} rows, the manifest says {part['rows']}.")
    expected = {"row": pa.int64(), "key": pa.uint64(), "status": pa.string(), "reason": pa.string(), "value": cells}
    columns = {field.name: field.type for field in table.schema}
    if columns != expected or table["value"].num_chunks > 1 or any(column.null_count for column in table.columns):
        raise StoreError(f"{path} does not have the columns of a store of {cells}.", "Embed the corpus again.")
    return table


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not an embedding store: it has no {MANIFEST}.") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if manifest.get("format") != FORMAT:
        raise StoreError(f"{path}: expected store format {FORMAT}.", "Embed the corpus again with this version.")
    # Stores written by molmv before 0.1 have no hash; any other key, or none in its place, is damage.
    found = manifest.pop("sha256", None)
    if manifest.keys() != {"format", *Header.__dataclass_fields__, "complete", "parts"}:
        raise StoreError(f"{path} is damaged: unexpected keys {', '.join(manifest)}.", "Embed the corpus again.")
    if found not in (None, _digest(manifest)):
        raise StoreError(f"{path} was changed: its SHA-256 is not the one that it names.", "Embed the corpus again.")
    texts = ("teacher", "digest", "likelihood", "encoding", "corpus")
    good = all(isinstance(manifest[key], str) for key in texts) and isinstance(manifest["provenance"], dict)
    good = good and type(manifest["dim"]) is int and 0 < manifest["dim"] < MAX_DIM
    good = good and isinstance(manifest["parts"], list) and all(map(_is_part, manifest["parts"]))
    if not good or type(manifest["complete"]) is not bool:
        raise StoreError(f"{path} is damaged: a value is of another type, or impossible.", "Embed the corpus again.")
    if manifest["encoding"] not in ENCODINGS:
        raise StoreError(f"{path}: unknown encoding {manifest['encoding']!r}.")
    return manifest


def _is_part(part: Any) -> bool:
    kinds = {"file": str, "rows": int, "sha256": str}
    return (
        isinstance(part, dict)
        and part.keys() == kinds.keys()
        and all(type(part[key]) is kind for key, kind in kinds.items())
        and part["rows"] >= 0
    )


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _header(manifest: Mapping[str, Any]) -> Header:
    return Header(**{name: manifest[name] for name in Header.__dataclass_fields__})


def _write(path: Path, data: bytes | pa.Buffer) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)

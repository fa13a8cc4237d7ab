"""Reads vectors that were computed elsewhere, from npy, npz, parquet, csv or tsv, without holding the file in memory.

An npy is memory-mapped where it lies; anything else is copied, piece by piece, into a temporary file that is.
Nothing is unpickled, and no header is believed before the bytes that it promises are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from molmv.errors import InputError
from molmv.modality import of
from molmv.npz import Npz, map_numbers, npy_header
from molmv.unpacking import check_unpacked

if TYPE_CHECKING:
    import pyarrow as pa

# What `molmv featurize` writes: a column of lists, or one column a number; and the array of an npz.
VECTOR_COLUMNS = ("embedding", "e[0-9]*")
VECTOR_ARRAY = "X"
_ROWS = 8192
_BLOCK = 1 << 24  # bytes of a csv read at a time; a line must fit


class VectorFile(NamedTuple):
    """Vectors, and what each of them belongs to.

    Attributes:
        labels: SMILES or id of each row, None where there is none; empty if none were asked for.
        vectors: memory-mapped, in the type that the file has; a row without a vector is NaN.
    """

    labels: list[str | None]
    vectors: Shaped[np.ndarray, "n dim"]


def read_vectors(
    path: Path, label: str | None = None, vector: str | Sequence[str] | None = None, labelled: bool = True
) -> VectorFile:
    """Open a file of vectors.

    Args:
        path: npy, npz, parquet, csv or tsv (csv and tsv maybe gzipped).
        label: column (npz: array) of SMILES or ids; by default the one called smiles, canonical_smiles or input.
        vector: column of lists, or columns of numbers, as a pattern (``"e*"``, in the order of the file) or a list of
            names; npz: the array. By default what ``molmv featurize`` writes.
        labelled: whether the labels are wanted.

    Raises:
        InputError: not such a file, a damaged one, no such column, or not one vector of numbers a row.
    """
    import pyarrow as pa

    kind = next((s for s in reversed(path.suffixes[-2:]) if s != ".gz"), "")
    readers: dict[str, Any] = {".npz": _read_npz, ".parquet": _read_parquet, ".csv": _read_csv, ".tsv": _read_csv}
    try:
        if kind == ".npy":
            if labelled:
                raise InputError(
                    f"{path} holds no SMILES and no ids.", "Name the file that does in the card's option rows."
                )
            return VectorFile([], _numbers(path, _map_npy(path)))
        if kind not in readers:
            raise InputError(
                f"{path}: no reader for {kind or 'a name without an ending'}.", "Give npy, npz, parquet, csv."
            )
        return readers[kind](path, label, vector, labelled)
    except (OSError, ValueError, EOFError, RuntimeError, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        why = " ".join(str(error).split())[:300]
        raise InputError(f"{path} cannot be read: {why}.", "Write or copy it again.") from error


# npy, npz ------------------------------------------------------------------------------------------------------------


def _map_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, order, dtype = npy_header(file, path.stat().st_size, str(path))
        return map_numbers(file, shape, order, dtype, file.tell())


def _numbers(path: Path, vectors: np.ndarray) -> np.ndarray:
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        found = f"shape {vectors.shape} of {vectors.dtype}"
        raise InputError(f"{path}: expected one row of numbers a molecule, found an array of {found}.")
    return vectors


def _read_npz(path: Path, label: str | None, vector: str | None, labelled: bool) -> VectorFile:
    with Npz(path) as archive:
        vectors = _numbers(path, _member(archive, vector or VECTOR_ARRAY))
        labels = _npz_labels(archive, label) if labelled else []
    return VectorFile(_one_a_row(path, labels, len(vectors)), vectors)


def _npz_labels(archive: Npz, label: str | None) -> list[str | None]:
    """An array of text, or a column of ``rows.csv``, which is how molmv's own npz keeps them."""
    import pyarrow.csv as pacsv

    if f"{label or 'smiles'}.npy" not in archive.names and "rows.csv" in archive.names:
        with archive.stream("rows.csv") as file:
            table = pacsv.read_csv(file, convert_options=pacsv.ConvertOptions(strings_can_be_null=False))
        return _texts(table.column(_label(archive.path, table.column_names, label)))
    found = _member(archive, label or "smiles")
    if found.ndim != 1 or found.dtype.kind != "U":
        raise InputError(f"{archive.path}: {label or 'smiles'} is an array of {found.dtype}, not of texts.")
    return [str(text) for text in found]


def _member(archive: Npz, name: str) -> np.ndarray:
    if f"{name}.npy" not in archive.names:
        arrays = [member.removesuffix(".npy") for member in archive.names if member.endswith(".npy")]
        raise InputError(f"{archive.path} has no array {name!r}; it has {_some(arrays)}.", "Name one in the card.")
    return archive.mapped(name)


# parquet, csv --------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, label: str | None, vector: str | Sequence[str] | None, labelled: bool) -> VectorFile:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as parquet:
        names = parquet.schema_arrow.names
        key, columns = _label(path, names, label) if labelled else None, _columns(path, names, vector)
        wanted = [*columns, *([key] if key else [])]
        return _spooled(path, parquet.iter_batches(_ROWS, columns=wanted, use_threads=False), key, columns)


def _read_csv(path: Path, label: str | None, vector: str | Sequence[str] | None, labelled: bool) -> VectorFile:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    how = {
        "read_options": pacsv.ReadOptions(block_size=_BLOCK, use_threads=False),
        "parse_options": pacsv.ParseOptions(delimiter="\t" if ".tsv" in path.suffixes else ","),
    }
    with pacsv.open_csv(path, **how) as reader:
        names = reader.schema.names
    key, columns = _label(path, names, label) if labelled else None, _columns(path, names, vector)
    types = {**dict.fromkeys(columns, pa.float32()), **({key: pa.string()} if key else {})}
    convert = pacsv.ConvertOptions(column_types=types, include_columns=list(types))
    with pacsv.open_csv(path, convert_options=convert, **how) as reader:
        return _spooled(path, reader, key, columns)


def _label(path: Path, names: Sequence[str], wanted: str | None) -> str:
    found = [name for name in names if (name == wanted if wanted else name.lower() in of("molecule").columns)]
    if len(found) == 1:
        return found[0]
    what = f"column {wanted!r}" if wanted else "column called smiles"
    raise InputError(f"{path} has {len(found) or 'no'} {what}; its columns: {_some(names)}.", "Name it in the card.")


def _columns(path: Path, names: Sequence[str], wanted: str | Sequence[str] | None) -> list[str]:
    if isinstance(wanted, str) or wanted is None:
        patterns = VECTOR_COLUMNS if wanted is None else (wanted,)
        found = next(filter(None, ([n for n in names if fnmatchcase(n, p)] for p in patterns)), [])
    else:
        found = [name for name in wanted if name in names]
        if len(found) < len(wanted):
            found = []
    if not found or any(names.count(name) > 1 for name in found):
        expected = wanted or " or ".join(VECTOR_COLUMNS)
        raise InputError(
            f"{path}: expected columns {expected}, each once; it has {_some(names)}.",
            "Say with the card's option vector which columns hold the numbers.",
        )
    return found


def _some(names: Sequence[str], limit: int = 12) -> str:
    more = f", … ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more or "none"


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    import pyarrow as pa

    return column.cast(pa.string()).to_pylist()


def _spooled(path: Path, batches: Iterable[pa.RecordBatch], key: str | None, columns: Sequence[str]) -> VectorFile:
    """The batches' vectors, as float32 in a temporary file, and their labels."""
    labels: list[str | None] = []
    rows = dim = 0
    with TemporaryFile() as spool:
        for piece in _matrices(path, batches, columns, key, labels):
            if piece.shape[1] and not dim:  # rows before the first vector
                dim = piece.shape[1]
                spool.write(np.full((rows, dim), np.nan, np.float32).tobytes())
            rows += len(piece)
            check_unpacked(str(path), rows * dim * 4, path.stat().st_size)
            spool.write(piece.tobytes() if piece.shape[1] else np.full((len(piece), dim), np.nan, np.float32).tobytes())
        spool.flush()
        return VectorFile(labels, map_numbers(spool, (rows, dim), "C", np.dtype(np.float32)))


def _matrices(
    path: Path, batches: Iterable[pa.RecordBatch], columns: Sequence[str], key: str | None, labels: list[str | None]
) -> Iterator[Float32[np.ndarray, "n dim"]]:
    """The vectors of each batch (0 wide if it has none), all of one width; appends to ``labels``."""
    import pyarrow as pa

    start = dim = 0
    for batch in batches:
        if key is not None:
            labels += _texts(batch.column(key))
        first = batch.column(columns[0])
        if pa.types.is_nested(first.type) and len(columns) == 1:
            values = _from_lists(path, first, start, dim)
        else:
            cells = [batch.column(c).cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False) for c in columns]
            values = np.column_stack(cells).astype(np.float32, copy=False)
        dim = dim or values.shape[1]
        start += len(batch)
        yield values


def _from_lists(path: Path, column: pa.Array, start: int, dim: int) -> Float32[np.ndarray, "n dim"]:
    """A matrix of a column of lists, NaN where there is none; ``dim`` is 0 if not yet known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    dim = dim or (int(lengths[there[0]]) if len(there) else 0)
    if (odd := there[lengths[there] != dim]).size:
        row = odd[0]
        raise InputError(f"{path}: row {start + row} has {int(lengths[row])} numbers, the others have {dim}.")
    out = np.full((len(column), dim), np.nan, np.float32)
    numbers = column.drop_null().flatten().cast(pa.float32(), safe=False)
    out[there] = numbers.to_numpy(zero_copy_only=False).reshape(len(there), dim)
    return out


def _one_a_row(path: Path, labels: list[str | None], rows: int) -> list[str | None]:
    if labels and len(labels) != rows:
        raise InputError(f"{path} has {rows:,} vectors and {len(labels):,} labels.")
    return labels

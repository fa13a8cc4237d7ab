"""Files of embeddings: parquet, csv and npz, written table by table so that memory does not grow with the file.

Columns: ``row``, the user's id column under its own name, the input as given, called as its modality does (``smiles``,
``text``), ``status``, ``reason``, ``uncertainty`` if it was asked for, ``embedding``.
A refused row keeps its place; its embedding is NaN (csv: empty cells). What made the file is in its metadata
(parquet: key ``molmv``; npz: ``molmv.json``; csv has no place for it). Cells are written as they were read: a csv
whose ids or SMILES begin with ``=`` will be taken for formulas by a spreadsheet.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32

from molmv.documents import parse_json
from molmv.errors import InputError, OutputError
from molmv.npz import Npz
from molmv.rows import VALID, Rows

if TYPE_CHECKING:
    import pyarrow as pa

# All tables of a job, in order; called with the columns that are wanted (None: all), once for each pass.
Tables = Callable[[Sequence[str] | None], Iterator["pa.Table"]]

EXTENSIONS = (".parquet", ".csv", ".npz")
METADATA_KEY = b"molmv"
HASH_KEY = b"molmv.sha256"
COLUMNS = ("row", "status", "reason", "embedding")
INPUT = "smiles"
UNCERTAINTY = "uncertainty"
DTYPES = ("float32", "float16")
CHUNK_ROWS = 8192


def check_extension(path: Path) -> None:
    """Refuse a name that no format goes with.

    Raises:
        OutputError: the extension is none of :data:`EXTENSIONS`.
    """
    if path.suffix not in EXTENSIONS:
        raise OutputError(f"{path}: no format has the extension {path.suffix!r}.", f"Use {', '.join(EXTENSIONS)}.")


def check_id_column(name: str | None, input_column: str = INPUT) -> None:
    """Refuse an id column that would have the name of another column.

    Raises:
        InputError: it has.
    """
    if name is not None and (name in (*COLUMNS, input_column, UNCERTAINTY) or re.fullmatch(r"e\d+", name)):
        raise InputError(f"The output has a column {name!r} of its own.", "Rename the id column in the input.")


def schema(
    dim: int,
    id_column: str | None,
    metadata: dict[str, Any],
    uncertainty: bool = False,
    dtype: str = "float32",
    input_column: str = INPUT,
) -> pa.Schema:
    """Columns and metadata of a file of embeddings.

    Args:
        dim: width of the embeddings.
        id_column: the user's name for it; None without.
        metadata: what made the file: JSON.
        uncertainty: whether there is a column for it.
        dtype: of the embeddings, one of :data:`DTYPES`.
        input_column: name of the column of inputs.

    Raises:
        InputError: the id column has the name of another column.
    """
    import pyarrow as pa

    check_id_column(id_column, input_column)
    ids = [] if id_column is None else [pa.field(id_column, pa.string())]
    fields = pa.schema(
        [
            pa.field("row", pa.int64(), nullable=False),
            *ids,
            pa.field(input_column, pa.string()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            *([pa.field(UNCERTAINTY, pa.float32())] if uncertainty else []),
            pa.field("embedding", pa.list_(_arrow_type(dtype), dim), nullable=False),
        ]
    )
    return with_metadata(fields, metadata)


def with_metadata(schema: pa.Schema, metadata: dict[str, Any]) -> pa.Schema:
    """The same columns, made by something else."""
    return schema.with_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def _arrow_type(dtype: str) -> pa.DataType:
    import pyarrow as pa

    if dtype not in DTYPES:
        raise InputError(f"Embeddings cannot be written as {dtype!r}.", f"Use {' or '.join(DTYPES)}.")
    return pa.type_for_alias(dtype)


def to_table(
    schema: pa.Schema,
    start: int,
    inputs: Sequence[Any],
    ids: Sequence[str | None] | None,
    rows: Rows,
    X: Float32[np.ndarray, "n dim"],
    uncertainty: Float32[np.ndarray, " n"] | None = None,
) -> pa.Table:
    """One chunk of a file of embeddings.

    Args:
        schema: from :func:`schema`; ``ids`` are written if it has a column for them.
        start: row number of the first row.
        inputs: as given; what is no text is an empty cell.
        ids: the user's ids.
        rows: status and reason of each row.
        X: embeddings; NaN where refused.
        uncertainty: of each row, if the schema has a column for it; an empty cell where refused.

    Raises:
        OutputError: a number is too large for the type that the schema has for embeddings.
    """
    import pyarrow as pa

    dtype: np.dtype = schema.field("embedding").type.value_type.to_pandas_dtype()
    with np.errstate(over="ignore"):
        cells = np.ascontiguousarray(X, dtype)
    lost = np.flatnonzero((np.isinf(cells) & np.isfinite(X)).any(axis=1))
    if len(lost):
        raise OutputError(
            f"Row {start + lost[0]} has a number of {np.abs(X[lost[0]]).max():.3g}: float16 ends at 65504.",
            "Leave out --dtype float16.",
        )
    columns = [
        pa.array(np.arange(start, start + len(rows))),
        *([] if ids is None else [_text(ids)]),
        _text([value if isinstance(value, str) else None for value in inputs]),
        pa.array(rows.status, pa.string()),
        pa.array(rows.reason, pa.string()),
        *([] if uncertainty is None else [pa.array(uncertainty, pa.float32(), mask=np.isnan(uncertainty))]),
        pa.FixedSizeListArray.from_arrays(pa.array(cells.ravel()), X.shape[1]),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _text(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half a surrogate pair, which no file can hold
        return pa.array([v if v is None else v.encode("utf-8", "replace").decode() for v in values], pa.string())


def vectors(table: pa.Table) -> Float[np.ndarray, "n dim"]:
    """The embedding column as a matrix, of the type that the table has."""
    column = table.column("embedding").combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size)


def write(path: Path, schema: pa.Schema, tables: Tables, extension: str) -> None:
    """Write all tables to one file, one row group a table."""
    {".parquet": _write_parquet, ".csv": _write_csv, ".npz": _write_npz}[extension](path, schema, tables)


def _write_parquet(path: Path, schema: pa.Schema, tables: Tables) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Split by bytes, signs and exponents of many floats lie side by side, where they compress.
    options = {
        "compression": "zstd",
        "use_dictionary": ["status", "reason"],
        "use_byte_stream_split": ["embedding.list.element"],
        "write_page_checksum": True,
    }
    with path.open("wb") as file:
        hashed = _Hashed(file, schema.metadata[METADATA_KEY])
        with pq.ParquetWriter(pa.PythonFile(hashed, "w"), schema, **options) as writer:
            for table in tables(None):
                writer.write_table(table, row_group_size=max(len(table), 1))
            writer.add_key_value_metadata({HASH_KEY: hashed.hexdigest()})


class _Hashed:
    """A file that is written, and the hash of all that was."""

    closed = False

    def __init__(self, file: IO[bytes], before: bytes) -> None:
        self._file, self._hash = file, hashlib.sha256(before)

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def check_parquet(path: Path) -> bool:
    """Compare a parquet file with the hash in its footer: of its metadata, and of every byte before the footer.

    Returns:
        Whether it has one; files written by molmv before 0.1 have none.

    Raises:
        InputError: it was changed, or is no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
        if (pq.read_schema(path).metadata or {}).get(METADATA_KEY) != metadata.get(METADATA_KEY):  # Arrow's own copy
            raise ValueError("its two copies of the metadata differ")
        with path.open("rb") as file:
            size = file.seek(-8, 2)
            left = size - int.from_bytes(file.read(4), "little")
            file.seek(0)
            found = hashlib.sha256(metadata.get(METADATA_KEY, b""))
            while left > 0 and (data := file.read(min(left, 1 << 20))):
                found.update(data)
                left -= len(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}.", "Write or copy it again.") from error
    recorded = metadata.get(HASH_KEY)
    if recorded is not None and recorded.decode(errors="replace") != found.hexdigest():
        raise InputError(f"{path} was changed: its SHA-256 is not the recorded one.", "Write or copy it again.")
    return recorded is not None


def _write_csv(path: Path | IO[bytes], schema: pa.Schema, tables: Tables, with_vectors: bool = True) -> None:
    import pyarrow as pa
    from pyarrow.csv import CSVWriter

    names = [name for name in schema.names if name != "embedding"]
    dim = schema.field("embedding").type.list_size if with_vectors else 0
    fields = [schema.field(name) for name in names] + [pa.field(f"e{i}", pa.float32()) for i in range(dim)]
    with CSVWriter(path, pa.schema(fields)) as writer:
        for table in tables(None if with_vectors else names):
            columns = [table.column(name) for name in names]
            if with_vectors:
                X = vectors(table).astype(np.float32)
                columns += [pa.array(X[:, i], mask=np.isnan(X[:, i])) for i in range(dim)]
            writer.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)))


def _write_npz(path: Path, schema: pa.Schema, tables: Tables) -> None:
    """``X``, ``valid``, and the other columns as ``rows.csv``: NumPy would give all texts the width of the longest."""
    dim = schema.field("embedding").type.list_size
    n = sum(len(table) for table in tables(["row"]))
    with zipfile.ZipFile(path, "w") as archive:

        def member(name: str) -> IO[bytes]:
            return archive.open(zipfile.ZipInfo(name), "w", force_zip64=True)  # ZipInfo: no time stamp

        with member("X.npy") as file:
            kind = np.dtype(schema.field("embedding").type.value_type.to_pandas_dtype()).newbyteorder("<").str
            _npy_header(file, kind, (n, dim))
            for table in tables(["embedding"]):
                file.write(np.ascontiguousarray(vectors(table), kind).data)
        with member("valid.npy") as file:
            _npy_header(file, "|b1", (n,))
            for table in tables(["status"]):
                file.write(np.array([status in VALID for status in table.column("status").to_pylist()], bool).data)
        with member("rows.csv") as file:
            _write_csv(file, schema, tables, with_vectors=False)
        with member("molmv.json") as file:
            file.write(schema.metadata[METADATA_KEY])


def _npy_header(file: IO[bytes], descr: str, shape: tuple[int, ...]) -> None:
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def read_metadata(path: Path) -> dict[str, Any]:
    """What made the file; empty if it does not say (as csv never does) or cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return parse_json((pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"{}"))
        if path.suffix == ".npz":
            with Npz(path) as archive:
                return parse_json(archive.text("molmv.json"))
    except (pa.ArrowException, OSError, ValueError):
        pass
    return {}

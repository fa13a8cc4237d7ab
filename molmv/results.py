"""Embeddings in memory, one row an input row, with what became of each; and their way to and from files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from molmv import formats
from molmv.atomic import replacing
from molmv.documents import parse_json
from molmv.errors import InputError
from molmv.npz import Npz
from molmv.rows import STATUSES, VALID, Rows
from molmv.unpacking import check_unpacked

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass
class EmbeddingResult:
    """The embeddings of some molecules, texts, …; row i is input row i, always.

    Attributes:
        X: embeddings; NaN where the row was refused.
        inputs: as given; None where there was no text.
        status: one of :data:`molmv.rows.STATUSES` a row.
        reason: why a row was refused or truncated; ``""`` for one that is ok.
        ids: the user's ids, if there are any.
        id_column: what the user calls them.
        provenance: what made the embeddings: model, digest, versions, ….
        uncertainty: of each row (:meth:`molmv.student.embed.Student.uncertainty`), if it was asked for.
        input_column: how files call the inputs: ``smiles``, ``text``, ….
    """

    X: Float32[np.ndarray, "n dim"]
    inputs: list[str | None]
    status: list[str]
    reason: list[str]
    ids: list[str | None] | None = None
    id_column: str = "id"
    provenance: dict[str, Any] = field(default_factory=dict)
    uncertainty: Float32[np.ndarray, " n"] | None = None
    input_column: str = formats.INPUT

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        model = self.provenance.get("model", "unknown model")
        return f"EmbeddingResult({len(self)} rows, {int(self.valid.sum())} ok, {self.X.shape[1]} dimensions, {model})"

    @property
    def smiles(self) -> list[str | None]:
        """The inputs, where these are molecules."""
        return self.inputs

    @property
    def valid(self) -> Bool[np.ndarray, " n"]:
        """True where the row has an embedding; that of a ``truncated`` one rests on a part of the input."""
        return np.array([status in VALID for status in self.status], dtype=bool)

    def dropna(self) -> tuple[Float32[np.ndarray, "good dim"], Int64[np.ndarray, " good"]]:
        """The embeddings of the good rows, and the row each belongs to."""
        rows = np.flatnonzero(self.valid)
        return self.X[rows], rows

    def failures(self) -> pd.DataFrame:
        """The refused rows: row, id, input, status, reason."""
        import pandas

        frame = pandas.DataFrame(self._columns())
        return frame[~self.valid].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """All rows, with the embedding in columns ``e0``, ``e1``, …."""
        import pandas

        vectors = pandas.DataFrame(self.X, columns=[f"e{i}" for i in range(self.X.shape[1])])
        return pandas.concat([pandas.DataFrame(self._columns()), vectors], axis=1)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write to a file; its extension (parquet, csv, npz) says how.

        Raises:
            OutputError: another extension, a file that exists (without ``overwrite``), or a folder that does not.
        """
        path = Path(path)
        formats.check_extension(path)
        id_column = None if self.ids is None else self.id_column
        unsure = self.uncertainty
        schema = formats.schema(
            self.X.shape[1], id_column, self.provenance, unsure is not None, input_column=self.input_column
        )

        def tables(columns: Sequence[str] | None) -> Iterator[pa.Table]:
            for start in range(0, len(self), formats.CHUNK_ROWS):
                part = slice(start, start + formats.CHUNK_ROWS)
                rows = Rows([""] * len(self.status[part]), self.status[part], self.reason[part])
                ids = None if self.ids is None else self.ids[part]
                some = None if unsure is None else unsure[part]
                table = formats.to_table(schema, start, self.inputs[part], ids, rows, self.X[part], some)
                yield table.select(columns or schema.names)

        with replacing(path, overwrite) as temporary:
            formats.write(temporary, schema, tables, path.suffix)

    def _columns(self) -> dict[str, Any]:
        ids = {} if self.ids is None else {self.id_column: self.ids}
        texts = {self.input_column: self.inputs, "status": self.status, "reason": self.reason}
        unsure = {} if self.uncertainty is None else {formats.UNCERTAINTY: self.uncertainty}
        return {"row": np.arange(len(self)), **ids, **texts, **unsure}


def load_embeddings(path: str | Path) -> EmbeddingResult:
    """Read a file that molmv wrote: parquet, csv or npz.

    Raises:
        InputError: no such file, damaged, or not one of ours; says what is wrong.
    """
    path = Path(path)
    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".npz": _read_npz}
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    if path.suffix not in readers:
        raise InputError(f"{path} is not a file of embeddings.", f"Give one of {', '.join(readers)}.")
    import pyarrow as pa

    try:
        X, table, provenance = readers[path.suffix](path)
        _check(X, table)
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory.", "Read it in pieces, with pyarrow.") from error
    except (_NotOursError, pa.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path} is damaged or not a file of embeddings: {error}", "Write it again.") from error
    unsure = None
    if formats.UNCERTAINTY in table.column_names:
        unsure = table.column(formats.UNCERTAINTY).to_numpy().astype(np.float32)
        table = table.drop_columns(formats.UNCERTAINTY)
    text = {name: table.column(name).to_pylist() for name in table.column_names}
    names = list(text)
    input_column = names[names.index("status") - 1]
    id_column = names[1] if names[1] != input_column else None
    return EmbeddingResult(
        X=X,
        inputs=text[input_column],
        status=text["status"],
        reason=text["reason"],
        ids=text[id_column] if id_column else None,
        id_column=id_column or "id",
        provenance=provenance,
        uncertainty=unsure,
        input_column=input_column,
    )


class _NotOursError(Exception):
    """What a file of embeddings should have, and this one has not."""


def _read_parquet(path: Path) -> tuple[np.ndarray, pa.Table, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        kind: Any = schema.field("embedding").type if "embedding" in schema.names else pa.null()
        if not pa.types.is_fixed_size_list(kind) or str(kind.value_type) not in ("float", "halffloat"):
            raise _NotOursError("it has no column 'embedding' of float32 or float16 lists.")
        check_unpacked(str(path), file.metadata.num_rows * kind.list_size * 4, path.stat().st_size)
        X = np.empty((file.metadata.num_rows, kind.list_size), dtype=np.float32)
        start = 0
        for batch in file.iter_batches(formats.CHUNK_ROWS, columns=["embedding"]):
            part = formats.vectors(pa.Table.from_batches([batch]))
            X[start : start + len(part)] = part
            start += len(part)
        table = file.read(columns=[name for name in schema.names if name != "embedding"])
        return X, table, parse_json((schema.metadata or {}).get(formats.METADATA_KEY, b"{}"))


def _read_csv(path: Path) -> tuple[np.ndarray, pa.Table, dict[str, Any]]:
    with path.open("rb") as file:
        table = _parse_csv(file.read())
    wide = [name for name in table.column_names if name.startswith("e") and name[1:].isdigit()]
    X = [table.column(name).to_numpy() for name in wide]
    return np.column_stack(X).astype(np.float32), table.drop_columns(wide), {}


def _read_npz(path: Path) -> tuple[np.ndarray, pa.Table, dict[str, Any]]:
    with Npz(path) as file:
        X = file.array("X")
        if X.ndim != 2 or X.dtype.kind != "f":
            raise _NotOursError(f"X is an array of shape {X.shape} of {X.dtype}.")
        with file.stream("rows.csv") as rows:
            table = _parse_csv(rows.read())
        return X.astype(np.float32, copy=False), table, parse_json(file.text("molmv.json"))


def _parse_csv(data: bytes) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="") as text:
        names = next(csv.reader(text), [])
    numbers = {"row": pa.int64(), formats.UNCERTAINTY: pa.float32()}
    numbers |= {name: pa.float32() for name in names if name[:1] == "e" and name[1:].isdigit()}
    return arrow_csv.read_csv(
        io.BytesIO(data),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: numbers.get(name, pa.string()) for name in names},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _check(X: np.ndarray, table: pa.Table) -> None:
    names = [name for name in table.column_names if name != formats.UNCERTAINTY]
    if names[:1] != ["row"] or names[-2:] != ["status", "reason"] or len(names) not in (4, 5):
        raise _NotOursError(f"its columns are {', '.join(names)}.")
    if len(X) != len(table) or not np.array_equal(table.column("row").to_numpy(), np.arange(len(table))):
        raise _NotOursError("its rows are not 0, 1, 2, ….")
    status = np.array(table.column("status").to_pylist(), dtype=object)
    if not set(status) <= set(STATUSES):
        raise _NotOursError(f"status {sorted(set(status) - set(STATUSES))[0]!r} is unknown.")
    if not np.array_equal(np.isfinite(X).all(axis=1), np.isin(status, VALID)):
        raise _NotOursError("a row with status 'ok' has no embedding, or a refused one has.")

"""A file of molecules in, a file of predictions out, row for row and chunk by chunk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molmv.atomic import check_writable, replacing
from molmv.errors import InputError, OutputError
from molmv.formats import CHUNK_ROWS
from molmv.predicting.predictor import Predictor
from molmv.rows import INVALID, OK
from molmv.table import open_table

ENDINGS = (".csv", ".parquet")
COLUMNS = ("row", "smiles", "status", "reason", "prediction", "lower", "upper", "in_domain", "similarity")


@dataclass(frozen=True)
class Summary:
    """What a file of predictions holds; as text, one line.

    Attributes:
        counts: rows with each status.
        outside: predicted rows unlike the training molecules.
        seconds: wall time.
        out: the file.
    """

    counts: dict[str, int]
    outside: int
    seconds: float
    out: Path

    def __str__(self) -> str:
        rows = sum(self.counts.values())
        parts = ", ".join(f"{number} {status}" for status, number in self.counts.items())
        return f"{rows} rows: {parts}; {self.outside} outside the domain; {self.seconds:.1f} s -> {self.out}"


def predict_file(
    predictor: Predictor,
    path: str | Path,
    out: str | Path,
    *,
    smiles_column: str | None = None,
    id_column: str | None = None,
    overwrite: bool = False,
    chunk_size: int = CHUNK_ROWS,
    progress: Callable[[int, float | None], None] = lambda rows, fraction: None,
) -> Summary:
    """Predict for each row of a file; a row without a prediction keeps its place and says why.

    Args:
        predictor: see :func:`molmv.load_predictor`.
        path: csv, tsv, smi or parquet, maybe gzipped; ``"-"`` for stdin.
        out: csv or parquet, by its ending.
        smiles_column: found by its name if not given.
        id_column: carried along under its own name.
        overwrite: replace the output.
        chunk_size: rows in memory at a time.
        progress: called with the rows done and the fraction of the file read.

    Raises:
        InputError: a file that cannot be read, or an id column with the name of another column.
        OutputError: another ending, or an output that exists or is the input.
    """
    import pyarrow as pa

    out, start = Path(out), time.perf_counter()
    if out.suffix not in ENDINGS:
        raise OutputError(f"{out}: expected a name that ends in one of {', '.join(ENDINGS)}.")
    if out.exists() and Path(path).exists() and out.samefile(path):
        raise OutputError(f"{out} is the input.", "Choose another name.")
    check_writable(out, overwrite)
    table = open_table(path, smiles_column, id_column)
    if table.id_column in COLUMNS:
        raise InputError(f"The output has a column {table.id_column!r} of its own.", "Rename the id column.")
    numbers = dict.fromkeys(("prediction", "lower", "upper", "similarity"), pa.float64())
    kinds = {"row": pa.int64(), "in_domain": pa.bool_(), **numbers}
    names = [COLUMNS[0], *([table.id_column] if table.id_column else []), *COLUMNS[1:]]
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    counts: Counter[str] = Counter()
    outside = rows = 0
    with replacing(out, overwrite) as temporary, ExitStack() as stack:
        writer = stack.enter_context(_writer(temporary, schema, out.suffix))
        progress(0, table.fraction)
        for chunk in table.chunks(chunk_size):
            # What is wrong with a line of the file is wrong with its row, even if a SMILES can be read from it.
            values = [None if i in chunk.problems else value for i, value in enumerate(chunk.values)]
            found = predictor.predict(values)
            for i, problem in chunk.problems.items():
                found.status[i], found.reason[i] = INVALID, problem
            found.smiles = [value if isinstance(value, str) else None for value in chunk.values]
            columns: dict[str, Any] = {"row": range(chunk.start, chunk.start + len(chunk)), **found.columns()}
            if table.id_column:
                columns[table.id_column] = chunk.ids
            # A refused row has no number: an empty cell in csv, a null in parquet, not NaN.
            arrays = [pa.array(columns[name], schema.field(name).type, from_pandas=True) for name in names]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            counts.update(found.status)
            outside += sum(s == OK and not inside for s, inside in zip(found.status, found.in_domain, strict=True))
            rows += len(chunk)
            progress(rows, table.fraction)
    ordered = dict(sorted(counts.items(), key=lambda item: (item[0] != OK, -item[1])))
    return Summary(ordered, outside, time.perf_counter() - start, out)


def _writer(path: Path, schema: Any, ending: str) -> Any:
    if ending == ".parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(path, schema)
    from pyarrow import csv

    return csv.CSVWriter(path, schema)

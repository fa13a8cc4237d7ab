"""Reads a column of inputs, and maybe one of ids, from csv, tsv, smi, parquet or stdin, chunk by chunk.

Every line (csv, tsv: every record) after the header is a row, blank lines included: rows never shift. What concerns
one row is reported with that row; what concerns the file is an :class:`~molmv.errors.InputError`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from molmv import folder
from molmv.errors import InputError, did_you_mean
from molmv.hashing import sha256
from molmv.modality import Modality, of
from molmv.textfile import TextFile

# A cell above this is a quote that was never closed.
_MAX_CELL = 1 << 24
_EXTENSIONS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a table.

    Attributes:
        start: row number of the first, counted from 0 after the header.
        values: the inputs as they stand in the file (SMILES, texts, …); None where there is none.
        ids: the id column; None if the table has none.
        problems: position in this chunk -> what is wrong with the line it comes from.
    """

    start: int
    values: list[Any]
    ids: list[str | None] | None
    problems: dict[int, str]

    def __len__(self) -> int:
        return len(self.values)


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        value: the input.
        id: the user's.
        problem: what is wrong with its line.
    """

    value: Any
    id: str | None = None
    problem: str | None = None


class Table:
    """A column of inputs in a file or on stdin; made by :func:`open_table`.

    Args:
        name: what to call it in messages.
        column: name of the column that is read.
        id_column: name of the column with the user's ids; None without.
        rows: all of them, in order; read once.
        fraction: how much has been read, from 0 to 1; None if nobody knows.
        digest: hash of all that the rows come from; None where it cannot be read again.
    """

    def __init__(
        self,
        name: str,
        column: str,
        id_column: str | None,
        rows: Iterator[Row],
        fraction: Callable[[], float | None],
        digest: Callable[[], str | None],
    ) -> None:
        self.name, self.column, self.id_column = name, column, id_column
        self._rows, self._fraction, self._digest = rows, fraction, digest

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read, from 0 to 1; None for stdin."""
        return self._fraction()

    def digest(self) -> str | None:
        """SHA-256 (hex) of the file's bytes; None for stdin and pipes."""
        return self._digest()

    def chunks(self, size: int, skip_rows: int = 0) -> Iterator[Chunk]:
        """All rows, ``size`` at a time (the last chunk may be shorter). A table is read once.

        Args:
            size: rows of a chunk.
            skip_rows: leave out this many rows; the others keep their numbers.

        Raises:
            InputError: bytes that cannot be decoded, a truncated archive, an unclosed quote; names the line.
        """
        start = skip_rows
        rows = islice(self._rows, skip_rows, None)
        while taken := list(islice(rows, size)):
            problems = {i: row.problem for i, row in enumerate(taken) if row.problem}
            ids = [row.id for row in taken] if self.id_column is not None else None
            yield Chunk(start, [row.value for row in taken], ids, problems)
            start += len(taken)


def open_table(
    path: str | Path,
    column: str | None = None,
    id_column: str | None = None,
    modality: Modality | None = None,
) -> Table:
    """Open a file of SMILES, texts, … and find its columns. The format is told from the extension or the first line.

    Args:
        path: csv, tsv, smi, a text a line (maybe gzipped) or parquet; ``"-"`` for text on stdin; a folder, for a
            modality whose inputs are files.
        column: by default the one whose name the modality knows (smiles, canonical_smiles or input; in any case), else
            the only column.
        id_column: a column to carry along. For smi it is always there: the text after the SMILES.
        modality: what the rows are; molecules by default.

    Raises:
        InputError: no such file, not a table, or no such column; says what, where, and what to do.
    """
    modality = modality or of("molecule")
    if modality.in_file and Path(path).is_dir():
        return _open_folder(Path(path), modality.in_file, modality.columns[0], column, id_column)
    file = TextFile(path, modality.undecodable)
    if file.head.startswith(b"PAR1"):
        return _open_parquet(file, modality, column, id_column)
    if Path(path).suffix == ".parquet":
        raise InputError(f"{file.name} is not a parquet file.", "Check how it was written.")
    lines = file.lines()
    first = next(lines, None)
    if first is None:
        raise InputError(f"{file.name} is empty.", f"Give a file with a header and a column of {modality.noun}.")
    lines = chain([first], lines)
    kind = _kind(Path(path), first, modality, column)
    if kind == "lines":
        return _open_lines(file, lines, modality, column, id_column)
    if kind == "smi":
        return _open_smi(file, first, lines, modality, column, id_column)
    return _open_csv(file, lines, "\t" if kind == "tsv" else _delimiter(first), modality, column, id_column)


def _kind(path: Path, first: str, modality: Modality, column: str | None) -> str:
    """``csv``, ``tsv``, ``smi`` or ``lines``: from the extension, else by looking at the first line."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    known = {**_EXTENSIONS, **modality.extensions}.get(suffixes[-1]) if suffixes else None
    if known:
        return known
    tokens = first.split()
    if tokens and modality.recognises(tokens[0]):
        return "smi"
    if "lines" in modality.extensions.values():
        header = [name.strip().lower() for name in first.split(_delimiter(first))]
        return "csv" if column is not None or set(header) & set(modality.columns) else "lines"
    if "\t" in first:
        return "tsv"
    header_line = len(tokens) > 1 and tokens[0].lower() in modality.columns
    return "smi" if header_line and "," not in first else "csv"


def _delimiter(header: str) -> str:
    """Some programs write ``;`` or tabs into a csv; the header of a column of inputs holds neither."""
    return next((mark for mark in ",;\t" if mark in header), ",")


def _table(file: TextFile, column: str, id_column: str | None, rows: Iterator[Row]) -> Table:
    return Table(file.name, column, id_column, rows, lambda: file.fraction, lambda: _digest(file))


def _digest(file: TextFile) -> str | None:
    """SHA-256 (hex) of the file's bytes; None for stdin and pipes."""
    return sha256(file.path) if file.regular else None


def _value(cell: Any, file: TextFile, modality: Modality) -> Any:
    """What a cell stands for: itself, or a file."""
    if modality.in_file and isinstance(cell, dict):  # as the Hugging Face hub's data sets hold images
        cell = cell["bytes"] or cell["path"]
    if modality.in_file and isinstance(cell, str) and cell.strip():
        return modality.in_file(cell, file.path.parent)
    return cell


def _open_folder(
    path: Path, in_file: Callable[[str, Path], Any], name: str, column: str | None, id_column: str | None
) -> Table:
    """One row a file."""
    if column is not None or id_column is not None:
        raise InputError(f"{path} is a folder and has no columns.", "Leave the columns out.")
    try:
        found = list(folder.files_below(path))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions.") from error
    done = 0

    def rows() -> Iterator[Row]:
        nonlocal done
        for file, problem in found:
            done += 1
            yield Row(in_file(file, path), None, problem or None)

    return Table(str(path), name, None, rows(), lambda: done / max(len(found), 1), lambda: folder.digest(path))


# csv, tsv ------------------------------------------------------------------------------------------------------------


def _open_csv(
    file: TextFile,
    lines: Iterator[str],
    delimiter: str,
    modality: Modality,
    column: str | None,
    id_column: str | None,
) -> Table:
    records = _records(file, lines, delimiter)
    _, header = next(records)
    names = [name.strip() for name in header]
    value = _input_position(file, names, modality, column)
    label = None if id_column is None else _position(file, names, id_column)

    def rows() -> Iterator[Row]:
        for line, record in records:
            if len(record) == len(names):
                yield Row(_value(record[value], file, modality), None if label is None else record[label])
            elif not record:
                yield Row("")
            else:
                cell = record[value] if value < len(record) else None
                fields = f"{len(record)} field{'s' if len(record) > 1 else ''}"
                yield Row(cell, None, f"line {line} has {fields}, the header has {len(names)}")

    return _table(file, names[value], None if label is None else names[label], rows())


def _records(file: TextFile, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a csv, each with the line it starts on (from 1)."""
    ended = False

    def feed() -> Iterator[str]:
        nonlocal ended
        yield from lines
        ended = True

    # The limit is the process's. Raised only: other readers in it are not made stricter.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    reader = csv.reader(feed(), delimiter=delimiter)
    line = 1
    try:
        for record in reader:
            if ended:  # asked for a line after the last one: the record is still inside a quote
                raise InputError(f"{file.name}: a quote opened on line {line} is never closed.", "Close or double it.")
            yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{file.name}: line {line}: {error}.", "Look for a quote that is opened and not closed."
        ) from error


def _input_position(file: TextFile, names: Sequence[str], modality: Modality, wanted: str | None) -> int:
    if wanted is not None:
        return _position(file, names, wanted)
    candidates = [i for i, name in enumerate(names) if name.lower() in modality.columns]
    if len(candidates) > 1:
        both = " and ".join(repr(names[i]) for i in candidates)
        raise InputError(
            f"{file.name}: columns {both} could each hold the {modality.noun}.", "Choose one with -s COLUMN."
        )
    if candidates:
        return candidates[0]
    if len(names) != 1:
        raise InputError(
            f"{file.name} has no column called {modality.columns[0]}; its columns are: {', '.join(names) or '(none)'}.",
            "Name it with -s COLUMN; if line 1 is already data, add a header.",
        )
    if names[0].split() and modality.recognises(names[0].split()[0]):
        raise InputError(f"{file.name} has no header: line 1 is a {modality.name}.", "Add one or name the file .smi.")
    return 0


def _position(file: TextFile, names: Sequence[str], wanted: str) -> int:
    found = [i for i, name in enumerate(names) if name == wanted]
    found = found or [i for i, name in enumerate(names) if name.lower() == wanted.lower()]
    if not found:
        raise InputError(
            f"{file.name} has no column {wanted!r}; its columns are: {', '.join(names) or '(none)'}.",
            did_you_mean(wanted, names, "Name one of them."),
        )
    if len(found) > 1:
        raise InputError(f"{file.name} has {len(found)} columns called {wanted!r}.", "Rename one of them.")
    return found[0]


# smi -----------------------------------------------------------------------------------------------------------------


def _open_smi(
    file: TextFile,
    first: str,
    lines: Iterator[str],
    modality: Modality,
    column: str | None,
    id_column: str | None,
) -> Table:
    names = [modality.columns[0], "name"]
    header = first.split(None, 1)
    if header and header[0].lower() in modality.columns:
        next(lines)
        names = [header[0], " ".join(header[1].split()) if len(header) > 1 and header[1].strip() else "name"]
    if column is not None and _position(file, names, column) != 0:
        raise InputError(f"{file.name}: the {modality.noun} of a .smi file come first in each line.", "Leave out -s.")
    if id_column is not None and _position(file, names, id_column) != 1:
        raise InputError(f"{file.name}: {id_column!r} holds the {modality.noun}.", f"The ids are in {names[1]!r}.")

    def rows() -> Iterator[Row]:
        for line in lines:
            fields = line.split(None, 1)
            yield Row(fields[0] if fields else "", fields[1].strip() if len(fields) > 1 else None)

    return _table(file, names[0], names[1], rows())


# lines ---------------------------------------------------------------------------------------------------------------


def _open_lines(
    file: TextFile, lines: Iterator[str], modality: Modality, column: str | None, id_column: str | None
) -> Table:
    """One input a line, no header."""
    if column is not None or id_column is not None:
        raise InputError(
            f"{file.name} has one {modality.name} a line and no columns.", "Leave the columns out, or give a csv."
        )
    return _table(file, modality.columns[0], None, (Row(line.rstrip("\r\n")) for line in lines))


# parquet -------------------------------------------------------------------------------------------------------------


def _open_parquet(file: TextFile, modality: Modality, column: str | None, id_column: str | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.regular:
        raise InputError("Parquet cannot be read from a pipe.", "Give the file's path.")
    file.close()
    try:
        parquet = pq.ParquetFile(file.path, memory_map=True)
        schema = parquet.schema_arrow
        names = schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file.name} is a damaged parquet file: {error}.", "Write or copy it again.") from error
    value = names[_input_position(file, names, modality, column)]
    label = None if id_column is None else names[_position(file, names, id_column)]
    kind = schema.field(value).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)
    if not text and not (modality.in_file and _holds_files(plain)):
        raise InputError(f"{file.name}: column {value!r} holds {kind}, not text.", "Choose another with -s COLUMN.")
    done = 0

    def rows() -> Iterator[Row]:
        nonlocal done
        columns = [value] if label is None else list(dict.fromkeys([value, label]))
        try:
            for batch in parquet.iter_batches(modality.rows, columns=columns, use_threads=False):
                values = batch.column(value).to_pylist()
                ids: list[Any] = [None] * len(values) if label is None else batch.column(label).to_pylist()
                for cell, label_value in zip(values, ids, strict=True):
                    yield Row(_value(cell, file, modality), None if label_value is None else str(label_value))
                done += len(values)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # Arrow does not look whether text is UTF-8
            raise InputError(f"{file.name} is damaged after row {done}: {error}.", "Write or copy it again.") from error
        finally:
            parquet.close()

    return Table(
        file.name, value, label, rows(), lambda: done / max(parquet.metadata.num_rows, 1), lambda: _digest(file)
    )


def _holds_files(kind: Any) -> bool:
    """Whether a column of parquet holds the bytes of files, or pairs of bytes and path."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))

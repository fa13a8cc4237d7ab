"""A folder of embeddings: one parquet file a block of an input file, under a name that says which.

``library.csv-000003.parquet`` holds rows 3 × chunk size and on of ``library.csv``, counted within that file. Whoever
writes blocks notes each in a journal of his own, ``_blocks-2-of-8.jsonl``, once it is on the disk: one line of JSON a
block, with its hash. Shards need not know of each other; the journals together say whether the folder is whole. Names
that begin with ``_`` are passed over by programs that read folders of parquet.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv import formats
from molmv.atomic import replacing
from molmv.errors import InputError, StoreError
from molmv.hashing import sha256
from molmv.journal import Entry, Journal, block_file
from molmv.npz import check_unpacked
from molmv.table import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

READABLE = (".csv", ".tsv", ".tab", ".smi", ".smiles", ".ism", ".txt", ".parquet")
_TOLD = 5  # problems in one message


@dataclass(frozen=True)
class Block(Chunk):
    """A chunk that knows where it is from.

    Attributes:
        source: name of its input file.
        number: which chunk of that file.
    """

    source: str = ""
    number: int = 0

    @property
    def file(self) -> str:
        """Name of the file of its embeddings."""
        return block_file(self.source, self.number)


def find_sources(inputs: str | Path) -> list[Path]:
    """The input files: one file, the matches of a glob, or the tables in a folder and its folders, sorted.

    Raises:
        InputError: there is none, or two have one name.
    """
    path = Path(inputs)
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.is_file() and _readable(p)]
    elif path.exists() or not glob.has_magic(str(inputs)):
        found = [path]
    else:
        root = Path(path.anchor or ".")
        found = [match for match in root.glob(str(path.relative_to(path.anchor))) if match.is_file()]
    if not found:
        raise InputError(f"{inputs}: no input file.", f"They end in {', '.join(READABLE)}, maybe with .gz.")
    names = Counter(p.name for p in found)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(
            f"{inputs}: two input files are called {twice[0]}.", "Blocks are named after them: rename one."
        )
    return sorted(found, key=lambda p: (str(p.parent), p.name))


def _readable(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return not hidden and Path(path.name.lower().removesuffix(".gz")).suffix in READABLE


def write_block(folder: Path, block: Block, table: pa.Table) -> Entry:
    """Write the embeddings of a block; when this returns they survive a kill and a power cut."""
    path = folder / block.file
    with replacing(path) as temporary:
        formats.write(temporary, table.schema, lambda columns: iter([table]), ".parquet")
    status = Counter(table.column("status").to_pylist())
    return Entry(block.source, block.number, block.start, dict(sorted(status.items())), sha256(path))


def read_block(folder: Path, block: Entry, schema: pa.Schema | None = None) -> pa.Table:
    """The embeddings of a block.

    Args:
        folder: of the blocks.
        block: which.
        schema: its columns, or some of them; all as they are by default.

    Raises:
        StoreError: the file is no such block; names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, hint = folder / block.file, "Delete it, and run its shard again with --overwrite."
    try:
        with pq.ParquetFile(path) as file:
            dim = file.schema_arrow.field("embedding").type.list_size
            check_unpacked(str(path), file.metadata.num_rows * dim, path.stat().st_size)
            if file.metadata.num_rows != block.rows or "status" not in file.schema_arrow.names:
                raise ValueError(f"it has {file.metadata.num_rows} rows of {', '.join(file.schema_arrow.names)[:100]}")
            table = file.read(None if schema is None else schema.names)
        table.validate(full=True)
        if "status" in table.column_names and Counter(table.column("status").to_pylist()) != Counter(block.status):
            raise ValueError("it has other rows")
        return table if schema is None else table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise StoreError(f"{path} is not the block that its journal names: {why}.", hint) from error


class Dataset:
    """A folder of blocks that is whole.

    Args:
        path: the folder.

    Attributes:
        job: what made it; the same for all shards.
        sources: name, rows and SHA-256 of each input file, in order.
        blocks: in order.

    Raises:
        StoreError: blocks that are missing, doubled or foreign, shards that are missing or unfinished; names them.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        journals = [Journal(p) for p in sorted(self.path.glob("_blocks-*-of-*.jsonl"))]
        journals = [journal for journal in journals if journal.head]
        if not journals:
            raise StoreError(f"{self.path} is no folder of embeddings: it has no _blocks-….jsonl.")
        problems = [*_shard_problems(journals)]
        self.job: dict[str, Any] = journals[0].head["job"]
        names: list[str] = journals[0].head["sources"]
        size = _chunk_size(journals[0])
        by_file: dict[str, Entry] = {}
        for journal in journals:
            problems += [f"{name} is doubled" for name in journal.blocks if name in by_file]
            by_file |= journal.blocks
        lengths = {name: rows for journal in journals for name, rows in journal.lengths.items()}
        digests = {name: digest for journal in journals for name, digest in journal.digests.items()}
        counts = {name: -(-lengths.get(name, 0) // size) for name in names}
        here = {p.name for p in self.path.glob("*.parquet")}
        good = {name for name in here & by_file.keys() if by_file[name].number < counts.get(by_file[name].source, 0)}
        # A count is only a claim: names are made for as many as are told.
        expected = (block_file(name, number) for name in names for number in range(counts[name]))
        missing = islice((name for name in expected if name not in good), _TOLD)
        unread = [f"{name} was not read to its end" for name in names if name not in lengths or name not in digests]
        foreign = sorted(here - good)
        number = len(problems) + len(unread) + sum(counts.values()) - len(good) + len(foreign)
        if number:
            problems += [
                *unread,
                *(f"{name} is missing" for name in missing),
                *(f"{name} is foreign" for name in foreign),
            ]
            more = f" (and {number - _TOLD} more)" if number > _TOLD else ""
            told = "; ".join(problems[:_TOLD])
            raise StoreError(f"{self.path}: {told}{more}.", "Run the shards again with --resume.")
        self.blocks = [by_file[block_file(name, number)] for name in names for number in range(counts[name])]
        self.sources = [{"name": name, "rows": lengths[name], "sha256": digests[name]} for name in names]

    def verify(self) -> Iterator[Entry]:
        """Every block, after it was compared with its hash.

        Raises:
            StoreError: one was changed; names it.
        """
        for block in self.blocks:
            found = sha256(self.path / block.file)
            if found != block.sha256:
                raise StoreError(
                    f"{self.path / block.file} was changed: its SHA-256 is {found}, expected {block.sha256}.",
                    "Delete it, and run its shard again with --overwrite.",
                )
            yield block

    def schema(self, metadata: dict[str, Any]) -> pa.Schema:
        """Of all blocks, made by something else.

        Raises:
            StoreError: the journal does not say what they are.
        """
        options, column = self.job["options"], formats.INPUT
        if self.blocks:
            names = read_block(self.path, self.blocks[0]).column_names
            column = names[names.index("status") - 1]
        try:
            uncertainty, dtype = "uncertainty" in options, options.get("dtype", "float32")
            return formats.schema(self.job["dim"], options["id_column"], metadata, uncertainty, dtype, column)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{self.path}: its journal is damaged: {error}.", "Run the shards again.") from error

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All blocks as one table, rows counted through; all columns or some.

        Raises:
            StoreError: one was changed, or is none; names it.
        """
        import pyarrow as pa

        schema, start = self.schema({}), 0
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        for block in self.verify():
            table = read_block(self.path, block, schema)
            if "row" in schema.names:
                rows = pa.array(range(start, start + len(table)), pa.int64())
                table = table.set_column(schema.get_field_index("row"), schema.field("row"), rows)
            start += block.rows
            yield table


def _chunk_size(journal: Journal) -> int:
    options = journal.head["job"].get("options")
    size = options.get("chunk_size") if isinstance(options, dict) else None
    if type(size) is not int or size < 1:
        raise StoreError(f"{journal.path} is damaged: chunks of {size!r} rows are impossible.", "Run the shards again.")
    return size


def _shard_problems(journals: Sequence[Journal]) -> Iterator[str]:
    first = journals[0]
    count = first.head["shard"][1]
    for journal in journals:
        if any(journal.head[key] != first.head[key] for key in ("job", "sources")) or journal.head["shard"][1] != count:
            yield f"{journal.path.name} is of another job than {first.path.name}"
        if not journal.complete:
            yield f"{journal.path.name} is unfinished"
    there = {journal.head["shard"][0] for journal in journals}
    for index in islice((i for i in range(1, count + 1) if i not in there), _TOLD):
        yield f"shard {index}/{count} is missing"

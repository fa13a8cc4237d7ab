"""Many input files, or one that several machines share, into a folder of embeddings: block by block, resumable."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from molmv import formats
from molmv.atomic import replacing
from molmv.blocks import Block, Dataset, find_sources, read_block, write_block
from molmv.embed_chunks import EmbedChunks, Facts
from molmv.errors import InputError, OutputError
from molmv.featurizing import Summary, job_of, opened, reads_of
from molmv.formats import CHUNK_ROWS
from molmv.hashing import sha256
from molmv.journal import Entry, Journal, Shard, journal_path
from molmv.limits import Limits
from molmv.locking import locked
from molmv.modality import Modality
from molmv.parts import differences
from molmv.quarantine import list_blocks
from molmv.rows import QUARANTINED
from molmv.table import Table, open_table

Progress = Callable[[int, float | None], None]


@dataclass(frozen=True)
class Options:
    """How files are embedded, whichever engine does it.

    Attributes:
        column: that is read, of every file; found by its name if None.
        id_column: that is carried along.
        chunk_size: rows of a block.
        resume: go on with an interrupted run.
        overwrite: drop what was done before.
        device: for the model.
        batch_size: for the model.
        uncertainty: a column more, of a student with heads.
        dtype: of the embeddings, ``float32`` or ``float16``.
        workers: processes.
        limits: what one input may cost; see :mod:`molmv.supervising`.
    """

    column: str | None = None
    id_column: str | None = None
    chunk_size: int = CHUNK_ROWS
    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    batch_size: int | None = None
    uncertainty: bool = False
    dtype: str = "float32"
    workers: int = 1
    limits: Limits | None = None


@dataclass(frozen=True)
class Plan:
    """What is read, before there is a model.

    Attributes:
        sources: the input files.
        reads: the modality.
        options: with the columns that were found.
        shard: which blocks.
    """

    sources: tuple[Path, ...]
    reads: Modality
    options: Options
    shard: Shard

    def open(self, source: Path) -> Table:
        """One of the input files.

        Raises:
            InputError: it cannot be read, or has other columns than the first.
        """
        column, id_column = self.options.column, self.options.id_column
        table = open_table(source, column, id_column, self.reads)
        if (table.column, table.id_column) != (column, id_column):
            found = f"{table.column} and {table.id_column or 'no ids'}"
            expected = f"{column} and {id_column or 'no ids'}"
            raise InputError(f"{source} has {found}, {self.sources[0]} has {expected}.", "Name columns that all have.")
        return table

    def job(self, facts: Facts) -> dict[str, Any]:
        """What decides the output, as for a single file."""
        options = self.options
        columns: dict[str, Any] = {"column": options.column, "id_column": options.id_column}
        if options.dtype != "float32":
            columns["dtype"] = options.dtype
        if options.uncertainty:
            columns["uncertainty"] = True
        return job_of(facts, None, {**columns, "chunk_size": options.chunk_size, "strict": False})

    def schema(self, facts: Facts) -> Any:
        """Of every block."""
        options, name = self.options, self.reads.columns[0]
        return formats.schema(facts.dim, options.id_column, self.job(facts), options.uncertainty, options.dtype, name)


def make_plan(inputs: str | Path, model: str, options: Options, shard: Shard) -> Plan:
    """Look for the input files and their columns.

    Raises:
        InputError: no file, or one that cannot be read.
    """
    if options.chunk_size < 1:
        raise InputError(f"A chunk of {options.chunk_size} rows is impossible.", "Give --chunk-size at least 1.")
    reads = reads_of(model)
    if reads.in_file and Path(inputs).is_dir():
        raise InputError(f"{inputs} is one input of {reads.noun}s.", "To share the work give a table of their paths.")
    sources = find_sources(inputs)
    first = open_table(sources[0], options.column, options.id_column, reads)
    formats.schema(1, first.id_column, {}, options.uncertainty, options.dtype, reads.columns[0])
    size = min(options.chunk_size, reads.rows)
    found = replace(options, column=first.column, id_column=first.id_column, chunk_size=size)
    return Plan(tuple(sources), reads, found, shard)


def featurize_blocks(
    inputs: str | Path,
    out: str | Path,
    model: str,
    options: Options | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Embed files into a folder of parquet files, one a block; see :mod:`molmv.blocks`.

    Args:
        inputs: a file, a glob, or a folder of tables.
        out: the folder; several shards may write it at once, from several machines that share it.
        model: name of a model.
        options: see :class:`Options`.
        shard: do only these blocks; all by default.
        progress: called with the rows done and None.

    Raises:
        InputError: files that cannot be read.
        OutputError: the folder holds another job, or this shard has run before or is running.
    """
    options = options or Options()
    plan = make_plan(inputs, model, options, shard or Shard())
    out = Path(out)
    with opened(
        model, options.device, options.batch_size, options.workers, options.limits, options.uncertainty
    ) as embed:
        start = time.perf_counter()
        with open_journal(out, plan, embed.facts) as journal:
            before = done = sum(block.rows for block in journal.blocks.values())
            if progress:
                progress(done, None)
            for entry in _write_all(out, plan, embed, journal):
                journal.add(entry)
                done += entry.rows
                if progress:
                    progress(done, None)
            finish(out, plan, journal)
            return summary(journal, before, time.perf_counter() - start, out, plan.reads.name)


def finish(out: Path, plan: Plan, journal: Journal) -> None:
    """List the rows that stalled or killed a process, and say that the shard is done."""
    listed = (b for b in journal.blocks.values() if b.status.keys() & set(QUARANTINED))
    path = out / f"_quarantine-{plan.shard}.csv"
    list_blocks(path, ((block.source, read_block(out, block)) for block in listed))
    journal.finish()


def summary(journal: Journal, before: int, seconds: float, out: Path, noun: str) -> Summary:
    """What was done, for people."""
    counts: Counter[str] = Counter()
    for block in journal.blocks.values():
        counts.update(block.status)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Summary(ordered, counts.total() - before, seconds, out, noun)


@contextmanager
def open_journal(out: Path, plan: Plan, facts: Facts) -> Iterator[Journal]:
    """The journal of a shard, locked; begun, or taken over with those of its blocks that are whole.

    Raises:
        OutputError: the folder cannot be made, or holds another job, or the shard has run before or is running.
    """
    resume, overwrite = plan.options.resume, plan.options.overwrite
    if resume and overwrite:
        raise OutputError("--resume keeps what --overwrite drops.", "Give one of them.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {out}: {error.strerror}.", "Name another one.") from error
    path = journal_path(out, plan.shard)
    with locked(out / f"_lock-{plan.shard}", path):
        if overwrite:
            path.unlink(missing_ok=True)
        elif path.exists() and not resume:
            raise OutputError(f"{path} is there already.", "Go on with --resume, or start over with --overwrite.")
        journal = Journal(path)
        job, names = plan.job(facts), [source.name for source in plan.sources]
        if journal.head:
            changed = differences(journal.head, {"job": job, "sources": names, "shard": journal.head["shard"]})
            if changed:
                raise OutputError(f"{path} is of another job: {', '.join(changed)} changed.", "Use --overwrite.")
            for name, entry in list(journal.blocks.items()):
                block = out / name
                if not block.exists() or sha256(block) != entry.sha256:
                    del journal.blocks[name]  # written again
                    journal.complete = False
        else:
            journal.begin(job, plan.shard, names)
        yield journal


def blocks_to_do(plan: Plan, journal: Journal) -> Iterator[Block]:
    """The blocks of a shard that are not finished; notes each input file in the journal."""
    for k, source in enumerate(plan.sources):
        if not plan.shard.takes(k, len(plan.sources), 0) and len(plan.sources) >= plan.shard.count:
            continue
        journal.begin_source(source.name, sha256(source))
        rows = 0
        for block in read_blocks(plan, source, 0):
            rows += len(block)
            if plan.shard.takes(k, len(plan.sources), block.number) and block.file not in journal.blocks:
                yield block
        journal.end_source(source.name, rows)


def read_blocks(plan: Plan, source: Path, first: int) -> Iterator[Block]:
    """The blocks of one file, from a number on."""
    size = plan.options.chunk_size
    for i, chunk in enumerate(plan.open(source).chunks(size, skip_rows=first * size)):
        yield Block(chunk.start, chunk.values, chunk.ids, chunk.problems, source.name, first + i)


def _write_all(out: Path, plan: Plan, embed: EmbedChunks, journal: Journal) -> Iterator[Entry]:
    schema = plan.schema(embed.facts)
    for block, rows, X, unsure in embed(blocks_to_do(plan, journal)):
        assert isinstance(block, Block)  # noqa: S101 - what went in comes out
        yield write_block(out, block, formats.to_table(schema, block.start, block.values, block.ids, rows, X, unsure))


def merge_blocks(folder: str | Path, out: str | Path, overwrite: bool = False) -> Summary:
    """One file of embeddings from a folder of blocks; of one input file it is what :func:`featurize_file` writes.

    Args:
        folder: that :func:`featurize_blocks` wrote, all shards of it.
        out: where to write; the extension (parquet, csv, npz) says how.
        overwrite: whether it may exist.

    Raises:
        StoreError: the folder is not whole, or a block was changed; names what is missing, doubled, foreign or changed.
        OutputError: the output exists, or cannot be written.
    """
    start = time.perf_counter()
    out = Path(out)
    formats.check_extension(out)
    whole = Dataset(folder)
    counts: Counter[str] = Counter()
    for block in whole.blocks:
        counts.update(block.status)
    with replacing(out, overwrite) as temporary:
        found = whole.sources[0]["sha256"] if len(whole.sources) == 1 else whole.sources
        ordered = dict(sorted(counts.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))
        metadata = {**whole.job, "input": found, "status": ordered}
        schema = whole.schema(metadata)
        formats.write(temporary, schema, whole.tables, out.suffix)
    return Summary(ordered, counts.total(), time.perf_counter() - start, out, "row")

"""Inputs in, embeddings out: in memory for Python, and from file to file, resumable, for more than memory holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import molmv
from molmv import formats
from molmv.atomic import check_writable, replacing
from molmv.embed_chunks import EmbedChunks, Facts, embed_chunk, here, in_processes, row_uncertainty
from molmv.embedder import Embedder
from molmv.errors import InputError, OutputError, RefusedRowsError
from molmv.formats import CHUNK_ROWS
from molmv.limits import Limits
from molmv.modality import Modality, of, read_by
from molmv.parts import Parts, differences, open_parts
from molmv.quarantine import Quarantine
from molmv.results import EmbeddingResult
from molmv.rows import OK, Rows
from molmv.table import Chunk, Table, open_table
from molmv.textfile import STDIN

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_MODEL = "molmv-small"


def featurize(
    inputs: Iterable[Any] | str | Path,
    model: str | Embedder = DEFAULT_MODEL,
    *,
    column: str | None = None,
    smiles_column: str | None = None,
    id_column: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    uncertainty: bool = False,
) -> EmbeddingResult:
    """Embed what the model reads: molecules, texts, ….

    Row i of the result is row i of the input; a row that cannot be embedded says why.

    Args:
        inputs: a sequence of SMILES, texts, …, or the path of a csv, tsv, smi or parquet file.
        model: name of a student or teacher, a checkpoint folder, or anything that is an
            :class:`~molmv.embedder.Embedder`.
        column: of a file; found by its name if not given.
        smiles_column: the same, for molecules.
        id_column: of a file; carried along.
        device: ``auto``, ``cpu``, ``cuda``, …; for a model given by name.
        batch_size: inputs at a time; for a model given by name.
        uncertainty: also give each row's uncertainty; needs a student with heads.

    Raises:
        InputError: not a list, a file that cannot be read, or a model that knows no uncertainty.
        UnknownNameError: no model of that name.
        CheckpointError: uncertainty was asked of a student without heads.
    """
    column = column if column is not None else smiles_column
    reads = reads_of(model)
    if isinstance(inputs, str | Path):
        table = _open(inputs, column, id_column, reads)
        chunks: Iterable[Chunk] = table.chunks(min(CHUNK_ROWS, reads.rows))
        name, digest = table.id_column, table.digest()
    else:
        if column is not None or id_column is not None:
            raise InputError("Columns can be named for a file only.", "Give its path, or leave them out.")
        values = _as_list(inputs, reads)
        size = min(CHUNK_ROWS, reads.rows)
        chunks = (Chunk(start, values[start : start + size], None, {}) for start in range(0, len(values), size))
        name, digest = None, None
    embedder = _load(model, device, batch_size)
    unsure = [row_uncertainty(embedder, np.empty((0, embedder.dim), np.float32))] if uncertainty else []
    result = EmbeddingResult(
        X=np.empty((0, embedder.dim), dtype=np.float32),
        inputs=[],
        status=[],
        reason=[],
        ids=None if name is None else [],
        id_column=name or "id",
        provenance=job_of(embedder, digest, {}),
        input_column=reads.columns[0],
    )
    vectors = [result.X]
    for chunk in chunks:
        rows, X = embed_chunk(embedder, chunk)
        vectors.append(X)
        if uncertainty:
            unsure.append(row_uncertainty(embedder, X))
        result.inputs += [value if isinstance(value, str) else None for value in chunk.values]
        result.status += rows.status
        result.reason += rows.reason
        if result.ids is not None:
            result.ids += chunk.ids or []
    result.X = np.concatenate(vectors)
    result.uncertainty = np.concatenate(unsure) if uncertainty else None
    return result


def _open(path: str | Path, column: str | None, id_column: str | None, reads: Modality) -> Table:
    try:
        return open_table(path, column, id_column, reads)
    except InputError as error:
        if isinstance(path, str) and not Path(path).suffix and not Path(path).exists():
            raise InputError(error.message, f"To embed one {reads.name} give a list: [{path!r}].") from error
        raise


def _as_list(inputs: Iterable[Any], reads: Modality) -> list[Any]:
    if getattr(inputs, "ndim", 1) != 1 or isinstance(inputs, dict | set | frozenset | bytes):
        found = type(inputs).__name__
        raise InputError(f"Expected one list of {reads.noun}, found a {found}.", "Give one column of it.")
    return list(inputs)


@dataclass(frozen=True)
class Summary:
    """What a file job did; as text, one line.

    Attributes:
        counts: rows with each status.
        computed: rows that this run embedded; the others were finished before.
        seconds: wall time, without loading the model.
        out: where the embeddings are.
        noun: what was embedded.
    """

    counts: dict[str, int]
    computed: int
    seconds: float
    out: Path
    noun: str = "molecule"

    @property
    def rows(self) -> int:
        """Rows in the output."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        counts = {OK: 0, **self.counts}
        parts = ", ".join(f"{number} {status}" for status, number in counts.items())
        before = f" ({self.rows - self.computed} of them finished before)" if self.computed < self.rows else ""
        rate = self.computed / max(self.seconds, 1e-9)
        return f"{self.rows} rows{before}: {parts}; {self.seconds:.1f} s; {rate:.0f} {self.noun}s/s -> {self.out}"


def featurize_file(
    path: str | Path,
    out: str | Path,
    model: str | Embedder = DEFAULT_MODEL,
    *,
    column: str | None = None,
    smiles_column: str | None = None,
    id_column: str | None = None,
    chunk_size: int = CHUNK_ROWS,
    resume: bool = False,
    overwrite: bool = False,
    strict: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
    uncertainty: bool = False,
    dtype: str = "float32",
    workers: int = 1,
    limits: Limits | None = None,
    progress: Callable[[int, float | None], None] | None = None,
) -> Summary:
    """Embed a file of molecules, texts, … into a file of embeddings, chunk by chunk; memory does not grow with it.

    Finished chunks are kept in ``OUT.parts/`` until the output is whole, so that a run that was killed goes on with
    ``resume`` and ends with the same data as one that was not.

    Args:
        path: csv, tsv, smi, parquet; ``"-"`` for stdin, which cannot be resumed.
        out: where to write; the extension (parquet, csv, npz) says how.
        model: as in :func:`featurize`.
        column: found by its name if not given.
        smiles_column: the same, for molecules.
        id_column: carried along under its own name.
        chunk_size: rows embedded and written at a time; less where the model's modality allows less.
        resume: go on with an interrupted run; begin if there is none.
        overwrite: replace the output, drop an interrupted run.
        strict: refuse the whole file if one row is refused.
        device: as in :func:`featurize`.
        batch_size: as in :func:`featurize`.
        uncertainty: as in :func:`featurize`: a column more.
        dtype: of the embeddings in the file, ``float32`` or ``float16``: half the size, three digits.
        workers: processes of one thread each, for a model given by name. A script that asks for more than one keeps its
            own work under ``if __name__ == "__main__"``.
        limits: what one molecule may cost. A row that stalls or kills its process is refused with the status
            ``timeout`` or ``crashed``, and listed in ``OUT.quarantine.csv``. None and one worker: no limit, embedded in
            this process. A script keeps its work under ``if __name__ == "__main__"``, as for workers.
        progress: called with the rows done and the fraction of the file read (None: unknown), first when the model is
            loaded, then after each chunk.

    Raises:
        InputError: a file that cannot be read; says what, where and what to do.
        OutputError: an output that exists, is the input, or belongs to another job.
        RefusedRowsError: with ``strict``; nothing is written.
        TeacherError: the model did not return one vector a row.
    """
    out = Path(out)
    _check_output(path, out, chunk_size, resume, overwrite)
    reads = reads_of(model)
    chunk_size = min(chunk_size, reads.rows)
    table = open_table(path, column if column is not None else smiles_column, id_column, reads)
    formats.check_id_column(table.id_column, reads.columns[0])
    digest = table.digest()
    if resume and digest is None:
        raise InputError(f"A run that reads {table.name} cannot be resumed.", "Save it to a file first.")
    columns: dict[str, Any] = {"column": table.column, "id_column": table.id_column}
    if dtype != "float32":
        columns["dtype"] = dtype
    shape: dict[str, Any] = {"uncertainty": uncertainty, "dtype": dtype, "input_column": reads.columns[0]}
    formats.schema(1, table.id_column, {}, **shape)  # refused now, not after hours of work
    if uncertainty:
        columns["uncertainty"] = True
    with opened(model, device, batch_size, workers, limits, uncertainty) as embed:
        job = job_of(embed.facts, digest, {**columns, "chunk_size": chunk_size, "strict": strict})
        schema = formats.schema(embed.facts.dim, table.id_column, job, **shape)
        start = time.perf_counter()
        with open_parts(out, job, schema, resume, overwrite) as parts:
            if out.exists() and not overwrite:
                if not resume:
                    check_writable(out, overwrite)  # it has appeared meanwhile
                if not len(parts):
                    return Summary(_finished(out, job), 0, time.perf_counter() - start, out, reads.name)
            before = parts.rows
            try:
                _embed_chunks(table, embed, parts, schema, out, chunk_size, strict, progress)
            except BaseException:
                if digest is None:
                    parts.clear()  # nobody can go on with them
                raise
            counts = dict(sorted(parts.counts.items(), key=lambda item: (item[0] != OK, -item[1], item[0])))
            final = formats.with_metadata(schema, {**job, "status": counts})
            with replacing(out) as temporary:
                formats.write(temporary, final, parts.tables, out.suffix)
            computed = parts.rows - before
            parts.clear()
    return Summary(counts, computed, time.perf_counter() - start, out, reads.name)


def _check_output(path: str | Path, out: Path, chunk_size: int, resume: bool, overwrite: bool) -> None:
    formats.check_extension(out)
    if chunk_size < 1:
        raise InputError(f"A chunk of {chunk_size} rows is impossible.", "Give --chunk-size at least 1.")
    if resume and overwrite:
        raise OutputError("--resume keeps what --overwrite drops.", "Give one of them.")
    if str(path) != STDIN and out.exists() and Path(path).exists() and out.samefile(path):
        raise OutputError(f"{out} is the input.", "Choose another name: the input is never overwritten.")
    check_writable(out, overwrite or resume)


@contextmanager
def opened(
    model: str | Embedder, device: str, batch_size: int | None, workers: int, limits: Limits | None, uncertainty: bool
) -> Iterator[EmbedChunks]:
    """A model that embeds chunks, here or in watched processes; see :func:`featurize_file`.

    Raises:
        InputError: a loaded model, and more than one process or a limit.
    """
    if workers == 1 and limits is None:
        yield here(_load(model, device, batch_size), uncertainty)
        return
    if not isinstance(model, str | Path):
        raise InputError(
            "A model that is already loaded stays in its process.", "Give its name, or no workers or limits."
        )
    with in_processes(str(model), device, batch_size, workers, limits, uncertainty) as embed:
        yield embed


def _embed_chunks(
    table: Table,
    embed: EmbedChunks,
    parts: Parts,
    schema: pa.Schema,
    out: Path,
    chunk_size: int,
    strict: bool,
    progress: Callable[[int, float | None], None] | None,
) -> None:
    quarantine = Quarantine(out, parts.rows)
    if progress:
        progress(parts.rows, table.fraction)
    for chunk, rows, X, unsure in embed(table.chunks(chunk_size, skip_rows=parts.rows)):
        if strict and not rows.valid.all():
            parts.clear()
            raise _refused(chunk, rows)
        quarantine.add(chunk, rows)
        parts.add(formats.to_table(schema, chunk.start, chunk.values, chunk.ids, rows, X, unsure))
        if progress:
            progress(parts.rows, table.fraction)


def _refused(chunk: Chunk, rows: Rows) -> RefusedRowsError:
    bad = np.flatnonzero(~rows.valid)
    first = int(bad[0])
    more = f" (and {len(bad) - 1} more in the {len(rows)} rows from {chunk.start})" if len(bad) > 1 else ""
    return RefusedRowsError(
        f"Row {chunk.start + first} is refused: {rows.reason[first]}{more}.",
        "Nothing was written; mend the rows, or leave out --strict to keep them as NaN.",
    )


def _finished(out: Path, job: dict[str, Any]) -> dict[str, int]:
    """Counts of an output that is already whole.

    Raises:
        OutputError: it was made by another job, or does not say by which.
    """
    found = formats.read_metadata(out)
    counts = found.pop("status", None)
    hint = "Replace it with --overwrite, or choose another name."
    if not found or counts is None:
        raise OutputError(f"{out} is whole, and does not say what made it: nothing to resume.", hint)
    changed = differences(found, job)
    if changed:
        raise OutputError(f"{out} is of another job: {', '.join(changed)} changed.", hint)
    return counts


def reads_of(model: str | Embedder) -> Modality:
    """What a model reads; one given by name is not loaded for it."""
    if isinstance(model, str | Path):
        from molmv.models import modality_of

        return of(modality_of(str(model)))
    return read_by(model)


def _load(model: str | Embedder, device: str, batch_size: int | None) -> Embedder:
    if isinstance(model, str | Path):
        from molmv.models import load_embedder

        return load_embedder(str(model), device=device, batch_size=batch_size)
    if device != "auto" or batch_size is not None:
        raise InputError("A model that is already loaded has its device and batch size.", "Leave them out.")
    return model


def job_of(embedder: Embedder | Facts, digest: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """What decides the output: compared on resuming, kept in the file's metadata."""
    return {
        "molmv": molmv.__version__,
        **{package: version(package) for package in read_by(embedder).packages},
        "model": embedder.name,
        "digest": embedder.digest,
        "dim": embedder.dim,
        "input": digest,
        "options": options,
        "provenance": embedder.provenance,
    }

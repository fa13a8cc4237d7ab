"""Teachers over a corpus, into stores: chunk by chunk, resumable, on several cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from molmv.cards import TeacherCard
from molmv.embeddings import Header, StoreWriter
from molmv.models import load_teacher
from molmv.teacher import Teacher

CHUNK = 8192  # rows of one part of a store
PIECE = 256  # rows that a worker embeds at a time

Embedded = tuple[np.ndarray, np.ndarray, list[str], list[str]]


class Chunk(Protocol):
    """What :class:`molmv.table.Table` yields."""

    values: list[str | None]
    problems: dict[int, str]


class Corpus(Protocol):
    """A file of molecules, e.g. a :class:`molmv.table.Table`."""

    def digest(self) -> str | None:
        """SHA-256 of the file."""
        ...

    def chunks(self, size: int, skip_rows: int = 0) -> Iterator[Chunk]:
        """Its rows from ``skip_rows`` on, ``size`` at a time."""
        ...


def embed_corpus(
    name: str,
    corpus: Corpus,
    path: Path,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda rows, refused: None,
) -> int:
    """Embed a corpus with one teacher into the store ``path``, continuing an earlier run.

    Args:
        name: see :func:`molmv.models.load_teacher`.
        corpus: the molecules.
        path: folder of the store.
        workers: processes; 1 embeds in this one.
        progress: called with rows and refused rows after every part, once at the start with those already there.

    Returns:
        The number of rows in the store.

    Raises:
        StoreError: the folder holds another teacher's store, or that of another corpus.
        TeacherError: the teacher broke its contract.
    """
    teacher = load_teacher(name)
    writer = StoreWriter(path, _header(teacher, corpus))
    progress(writer.rows, 0)
    if writer.complete:
        return writer.rows
    with _embedder(name, teacher, workers) as embed:
        for chunk in corpus.chunks(CHUNK, skip_rows=writer.rows):
            values, keys, status, reason = embed(chunk)
            writer.append(values, keys, status, reason)
            progress(len(status), int((keys == 0).sum()))
    writer.finish()
    return writer.rows


def _header(teacher: Teacher, corpus: Corpus) -> Header:
    card: TeacherCard = teacher.card
    return Header(
        teacher=card.name,
        digest=teacher.digest,
        dim=teacher.dim,
        likelihood=card.likelihood,
        encoding=card.store_encoding,
        corpus=corpus.digest() or "",
        provenance=teacher.provenance,
    )


@contextmanager
def _embedder(name: str, teacher: Teacher, workers: int) -> Iterator[Callable[[Chunk], Embedded]]:
    """A function from a chunk to its vectors, in this process or spread over several."""
    if workers <= 1:
        yield lambda chunk: _embed(teacher, chunk.values, chunk.problems)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(name,)) as pool:
        yield lambda chunk: _embed_in_pool(pool, chunk)


def _embed_in_pool(pool: Executor, chunk: Chunk) -> Embedded:
    starts = range(0, len(chunk.values), PIECE)
    pieces = [chunk.values[start : start + PIECE] for start in starts]
    problems = [{i - s: why for i, why in chunk.problems.items() if s <= i < s + PIECE} for s in starts]
    parts = list(pool.map(_work, pieces, problems))
    values, keys = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    status, reason = ([text for part in parts for text in part[k]] for k in (2, 3))
    return values, keys, status, reason


def _embed(teacher: Teacher, values: Sequence[str | None], problems: dict[int, str]) -> Embedded:
    rows = teacher.screen(values, problems)
    vectors, keys = teacher.embed_with_keys(rows)
    return vectors, keys, rows.status, rows.reason


_worker: list[Teacher] = []


def _start(name: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism
    _worker[:] = [load_teacher(name)]


def _work(values: Sequence[str | None], problems: dict[int, str]) -> Embedded:
    return _embed(_worker[0], values, problems)

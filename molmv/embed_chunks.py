"""Chunks of a table through a model, here or in several processes; what a model may not do is caught on the way."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
from jaxtyping import Float32

from molmv.embedder import Embedder
from molmv.errors import TeacherError
from molmv.rows import ERROR, Rows
from molmv.table import Chunk

Embedded = tuple[Rows, Float32[np.ndarray, "n dim"]]
# Chunks to chunks with their embeddings, in order.
EmbedChunks = Callable[[Iterable[Chunk]], Iterator[tuple[Chunk, Rows, Float32[np.ndarray, "n dim"]]]]


def embed_chunk(embedder: Embedder, chunk: Chunk) -> Embedded:
    """Status and embedding of each row.

    Raises:
        TeacherError: not one row an input, or vectors of another width.
    """
    rows = embedder.screen(chunk.values, chunk.problems)
    X = np.asarray(embedder.embed(rows), dtype=np.float32)
    expected = (len(chunk), embedder.dim)
    if len(rows) != len(chunk) or X.shape != expected:
        raise TeacherError(
            f"{embedder.name} was given {len(chunk)} rows and returned an array of shape {X.shape} "
            f"for {len(rows)} of them; expected {expected}.",
            "It must return one row for each input, in order.",
        )
    finite = np.isfinite(X).all(axis=1)
    for i in np.flatnonzero(rows.valid & ~finite):
        rows.refuse(int(i), ERROR, f"{embedder.name} gave a value that is not finite")
    return rows, np.where(rows.valid[:, None], X, np.float32(np.nan))


def here(embedder: Embedder) -> EmbedChunks:
    """In this process, with all of its threads."""
    return lambda chunks: ((chunk, *embed_chunk(embedder, chunk)) for chunk in chunks)


@contextmanager
def in_processes(model: str, device: str, batch_size: int | None, workers: int) -> Iterator[EmbedChunks]:
    """In several processes of one thread, each with the model; a few chunks wait for them, never the whole table.

    Args:
        model: its name, see :func:`molmv.models.load_embedder`.
        device: for the model.
        batch_size: for the model.
        workers: how many.

    Raises:
        TeacherError: a process died.
    """

    def embed(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Rows, np.ndarray]]:
        running: deque[tuple[Chunk, Future[Embedded]]] = deque()
        for chunk in chunks:
            running.append((chunk, pool.submit(_work, chunk)))
            if len(running) > workers:
                first, future = running.popleft()
                yield first, *future.result()
        for first, future in running:
            yield first, *future.result()

    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (model, device, batch_size)) as pool:
        try:
            yield embed
        except BrokenProcessPool as error:
            raise TeacherError(
                f"A process that embeds with {model!r} died.", "It may have run out of memory: use fewer --workers."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_model: list[Embedder] = []


def _start(model: str, device: str, batch_size: int | None) -> None:
    from molmv.models import load_embedder

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says when to stop
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism
    _model[:] = [load_embedder(model, device, batch_size)]


def _work(chunk: Chunk) -> Embedded:
    return embed_chunk(_model[0], chunk)

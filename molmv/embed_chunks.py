"""Chunks of a table through a model, here or in watched processes; what a model may not do is caught on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from molmv.embedder import Embedder
from molmv.errors import InputError, TeacherError
from molmv.limits import Limits
from molmv.modality import read_by
from molmv.rows import ERROR, Rows
from molmv.supervising import supervised
from molmv.table import Chunk
from molmv.watched_process import Embedded


@dataclass(frozen=True)
class Facts:
    """What the writer of a file has to know of a model; see :class:`~molmv.embedder.Embedder`."""

    name: str
    dim: int
    digest: str
    provenance: dict[str, Any]
    modality: str = "molecule"


class ChunkEmbedder:
    """A model, and what is asked of it.

    Args:
        embedder: the model.
        uncertainty: whether each row's uncertainty is asked, too.

    Attributes:
        said: its facts.

    Raises:
        InputError: the model knows no uncertainty.
        CheckpointError, ConfigError: it has no heads, or none that predicts a variance.
    """

    def __init__(self, embedder: Embedder, uncertainty: bool = False) -> None:
        self.embedder, self.uncertainty = embedder, uncertainty
        modality = read_by(embedder).name
        self.said = Facts(embedder.name, embedder.dim, embedder.digest, embedder.provenance, modality)
        if uncertainty:
            row_uncertainty(embedder, np.empty((0, embedder.dim), np.float32))

    def __call__(self, chunk: Chunk) -> Embedded:
        """Status, embedding and maybe uncertainty of each row."""
        rows, X = embed_chunk(self.embedder, chunk)
        return (rows, X, row_uncertainty(self.embedder, X)) if self.uncertainty else (rows, X)


@dataclass(frozen=True)
class EmbedChunks:
    """Chunks to chunks with their embeddings, in order.

    Attributes:
        facts: of the model.
    """

    facts: Facts
    _embed: Callable[[Iterable[Chunk]], Iterator[tuple[Chunk, Embedded]]]

    def __call__(
        self, chunks: Iterable[Chunk]
    ) -> Iterator[tuple[Chunk, Rows, Float32[np.ndarray, "n dim"], Float32[np.ndarray, " n"] | None]]:
        """Each chunk with status, embedding and, if it was asked for, uncertainty of each row."""
        for chunk, (rows, X, *more) in self._embed(chunks):
            yield chunk, rows, X, more[0] if more else None


def embed_chunk(embedder: Embedder, chunk: Chunk) -> tuple[Rows, Float32[np.ndarray, "n dim"]]:
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


def row_uncertainty(embedder: Embedder, X: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
    """Uncertainty of each row from its embedding; NaN where refused.

    Raises:
        InputError: the model is no student.
        CheckpointError, ConfigError: it has no heads, or none that predicts a variance.
    """
    if not hasattr(embedder, "uncertainty"):
        raise InputError(f"{embedder.name} knows no uncertainty.", "Give the folder of a distilled student's run.")
    values: np.ndarray = embedder.uncertainty(X)
    return values


def here(embedder: Embedder, uncertainty: bool = False) -> EmbedChunks:
    """In this process, with all of its threads.

    Raises:
        InputError, CheckpointError, ConfigError: see :class:`ChunkEmbedder`.
    """
    work = ChunkEmbedder(embedder, uncertainty)
    return EmbedChunks(work.said, lambda chunks: ((chunk, work(chunk)) for chunk in chunks))


@contextmanager
def in_processes(
    model: str,
    device: str,
    batch_size: int | None,
    workers: int,
    limits: Limits | None = None,
    uncertainty: bool = False,
) -> Iterator[EmbedChunks]:
    """In watched processes, each with the model; see :mod:`molmv.supervising`.

    Args:
        model: its name, see :func:`molmv.models.load_embedder`.
        device: for the model.
        batch_size: for the model.
        workers: how many; each has one thread, unless there is only one.
        limits: of one molecule.
        uncertainty: whether each row's uncertainty is asked, too.

    Raises:
        TeacherError: the model cannot be run here at all; whatever loading raises comes through.
    """
    with supervised(load, (model, device, batch_size, uncertainty), workers, limits or Limits()) as pool:
        yield EmbedChunks(pool.said, pool.embed)


def load(model: str, device: str, batch_size: int | None, uncertainty: bool) -> ChunkEmbedder:
    """A model by its name, warm: what it imports when first used is there."""
    from molmv.models import load_embedder

    work = ChunkEmbedder(load_embedder(model, device, batch_size), uncertainty)
    work(Chunk(0, [None], None, {}))
    return work

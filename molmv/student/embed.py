"""A trained student at work: SMILES in, embeddings out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from molmv import molecules
from molmv.device import one_thread, pick_device
from molmv.errors import CheckpointError, ConfigError, InputError
from molmv.graphs import Graphs, featurise
from molmv.rows import Rows
from molmv.student.checkpoint import Checkpoint, load_checkpoint
from molmv.student.gine import make_encoder
from molmv.student.heads import SPEC, Heads, TeacherPrediction, find_heads
from molmv.student.inference import FastEncoder

DEFAULT_BATCH = 8192  # the more molecules, the more they share
# Atoms in one forward pass, so that a batch of macrocycles does not need more memory than one of fragments.
MAX_BATCH_ATOMS = 65_536


class Student:
    """An :class:`~molmv.embedder.Embedder` made of a checkpoint.

    Args:
        checkpoint: see :func:`molmv.student.checkpoint.load_checkpoint`.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: molecules in one forward pass; changes speed, never results beyond rounding.
        folder: where it is from; its heads are looked for there and in the run's folder around it.

    Raises:
        CheckpointError: sizes and weights that do not fit together, or a kind of student that this version lacks.
        InputError: an impossible batch size, or a device that is not there.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        batch_size: int | None = None,
        folder: Path | None = None,
    ) -> None:
        if checkpoint.kind != "gine":
            raise CheckpointError(f"Student {checkpoint.name!r} is a {checkpoint.kind!r}; this version knows 'gine'.")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"Expected a batch of at least one molecule, got {batch_size}.")
        try:
            self.encoder = make_encoder(checkpoint.config)
            self.encoder.load_state_dict(dict(checkpoint.weights), strict=True)
        except (ConfigError, RuntimeError) as error:
            raise CheckpointError(f"Student {checkpoint.name!r}: weights and sizes do not fit: {error}") from error
        self.device = pick_device(device)
        self.encoder.to(self.device).eval()
        self._fast = FastEncoder(self.encoder)
        self.batch_size = batch_size or DEFAULT_BATCH
        self.name, self.dim, self.digest = checkpoint.name, self.encoder.config.embedding, checkpoint.digest
        self.provenance: dict[str, Any] = dict(checkpoint.provenance)
        self.folder = folder

    @classmethod
    def load(cls, folder: Path, device: str = "auto", batch_size: int | None = None) -> Student:
        """From a checkpoint folder.

        Raises:
            CheckpointError: see :func:`molmv.student.checkpoint.load_checkpoint`.
        """
        return cls(load_checkpoint(Path(folder)), device, batch_size, Path(folder))

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """See :func:`molmv.molecules.screen`."""
        return molecules.screen(values, problems)

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        return self.encode(featurise(rows))

    def encode(self, graphs: Graphs) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of graphs; NaN for one without atoms. On a CPU it uses one core."""
        out = np.empty((len(graphs), self.dim), dtype=np.float32)
        with one_thread():
            for start, stop in self._batches(graphs):
                out[start:stop] = self._fast(graphs, start, stop).cpu().numpy()
        out[graphs.sizes == 0] = np.nan
        return out

    @cached_property
    def heads(self) -> Heads:
        """What it learnt to expect of its teachers; opened when first used, and kept on the CPU.

        Raises:
            CheckpointError: it has none (a released student is shipped without), or they are damaged or another's.
        """
        folder = find_heads(self.folder) if self.folder else None
        if folder is None:
            raise CheckpointError(
                f"Student {self.name!r} has no heads: there is no {SPEC} in {self.folder} or the folder around it.",
                "They stay in the folder of the run that trained them: load RUN/student, or copy both files beside it.",
            )
        return Heads(folder, self.digest)

    def predict_teacher(self, teacher: str, smiles: Sequence[Any]) -> TeacherPrediction:
        """What a teacher would say of some molecules, expected value and standard deviation, in its own units.

        Args:
            teacher: one of ``self.heads.teachers``.
            smiles: row i of the result is molecule i; a refused row is NaN.

        Raises:
            CheckpointError: see :attr:`heads`.
            UnknownNameError: there is no head for that teacher.
        """
        self.heads.check_teacher(teacher)
        rows = self.screen(smiles)
        z = torch.from_numpy(self.embed(rows))
        mean, sd = (values.numpy() for values in self.heads.predict(teacher, z))
        mean[~rows.valid] = sd[~rows.valid] = np.nan  # a column that is always the same needs no embedding
        return TeacherPrediction(mean, sd, rows.status, rows.reason)

    def uncertainty(self, embeddings: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
        """Share of its teachers' variance that it expects not to know; NaN where the embedding is.

        See :meth:`molmv.student.heads.Heads.uncertainty` for the formula.

        Args:
            embeddings: as :meth:`embed` gives them.

        Raises:
            CheckpointError: see :attr:`heads`.
            ConfigError: no head predicts the variance of a continuous teacher.
        """
        shares: np.ndarray = self.heads.uncertainty(torch.from_numpy(np.asarray(embeddings, np.float32))).numpy()
        return shares

    def _batches(self, graphs: Graphs) -> Iterator[tuple[int, int]]:
        """Consecutive rows, from and up to; no more atoms than allowed, unless one molecule has more."""
        start = 0
        while start < len(graphs):
            full = np.searchsorted(graphs.atom_offsets, graphs.atom_offsets[start] + MAX_BATCH_ATOMS, side="right") - 1
            stop = min(max(int(full), start + 1), start + self.batch_size, len(graphs))
            yield start, stop
            start = stop

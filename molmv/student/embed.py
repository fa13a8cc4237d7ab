"""A trained student at work: inputs in, embeddings out, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from molmv import modality
from molmv.errors import CheckpointError, ConfigError, InputError
from molmv.rows import Rows
from molmv.student import KINDS
from molmv.student.checkpoint import Checkpoint, load_checkpoint
from molmv.student.heads import SPEC, Heads, TeacherPrediction, find_heads


class Student:
    """An :class:`~molmv.embedder.Embedder` made of a checkpoint.

    Args:
        checkpoint: see :func:`molmv.student.checkpoint.load_checkpoint`.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: inputs in one forward pass; changes speed, never results beyond rounding.
        folder: where it is from; its heads are looked for there and in the run's folder around it.

    Attributes:
        runner: what its kind embeds with, see :class:`molmv.student.Runner`.

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
        if checkpoint.kind not in KINDS:
            raise CheckpointError(
                f"Student {checkpoint.name!r} is a {checkpoint.kind!r}; this version knows {', '.join(KINDS)}."
            )
        kind = KINDS[checkpoint.kind]
        if batch_size is not None and batch_size < 1:
            raise InputError(f"Expected a batch of at least one {kind.modality}, got {batch_size}.")
        try:
            self.runner = kind.runner(checkpoint, device, batch_size)
        except (ConfigError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"Student {checkpoint.name!r}: weights and sizes do not fit: {error}") from error
        self.name, self.dim, self.digest = checkpoint.name, self.runner.encoder.config.embedding, checkpoint.digest
        self.modality = kind.modality
        self._reads = modality.of(kind.modality)
        self.provenance: dict[str, Any] = dict(checkpoint.provenance)
        self.folder = folder

    @property
    def encoder(self) -> torch.nn.Module:
        """The network."""
        network: torch.nn.Module = self.runner.encoder
        return network

    @classmethod
    def load(cls, folder: Path, device: str = "auto", batch_size: int | None = None) -> Student:
        """From a checkpoint folder.

        Raises:
            CheckpointError: see :func:`molmv.student.checkpoint.load_checkpoint`.
        """
        return cls(load_checkpoint(Path(folder)), device, batch_size, Path(folder))

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """See :attr:`molmv.modality.Modality.screen`."""
        return self._reads.screen(values, problems)

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        return self.runner.embed(rows)

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

    def predict_teacher(self, teacher: str, inputs: Sequence[Any]) -> TeacherPrediction:
        """What a teacher would say of some inputs, expected value and standard deviation, in its own units.

        Args:
            teacher: one of ``self.heads.teachers``.
            inputs: row i of the result is input i; a refused row is NaN.

        Raises:
            CheckpointError: see :attr:`heads`.
            UnknownNameError: there is no head for that teacher.
        """
        self.heads.check_teacher(teacher)
        rows = self.screen(inputs)
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

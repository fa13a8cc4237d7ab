"""A trained student at work: SMILES in, embeddings out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from molmv import molecules
from molmv.device import pick_device
from molmv.errors import CheckpointError, ConfigError, InputError
from molmv.graphs import Graphs, featurise
from molmv.rows import Rows
from molmv.student.checkpoint import Checkpoint, load_checkpoint
from molmv.student.gine import graph_tensors, make_encoder

DEFAULT_BATCH = 64  # on a CPU larger batches fall out of the cache
# Atoms in one forward pass, so that a batch of macrocycles does not need more memory than one of fragments.
MAX_BATCH_ATOMS = 32_768


class Student:
    """An :class:`~molmv.embedder.Embedder` made of a checkpoint.

    Args:
        checkpoint: see :func:`molmv.student.checkpoint.load_checkpoint`.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: molecules in one forward pass; changes speed, never results beyond rounding.

    Raises:
        CheckpointError: sizes and weights that do not fit together, or a kind of student that this version lacks.
        InputError: an impossible batch size, or a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
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
        self.batch_size = batch_size or DEFAULT_BATCH
        self.name, self.dim, self.digest = checkpoint.name, self.encoder.config.embedding, checkpoint.digest
        self.provenance: dict[str, Any] = dict(checkpoint.provenance)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", batch_size: int | None = None) -> Student:
        """From a checkpoint folder.

        Raises:
            CheckpointError: see :func:`molmv.student.checkpoint.load_checkpoint`.
        """
        return cls(load_checkpoint(Path(folder)), device, batch_size)

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """See :func:`molmv.molecules.screen`."""
        return molecules.screen(values, problems)

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        graphs = featurise(rows)
        out = np.full((len(rows), self.dim), np.nan, dtype=np.float32)
        with torch.inference_mode():
            for batch in self._batches(graphs):
                tensors = graph_tensors(graphs.batch(batch)).to(self.device)
                out[batch] = self.encoder(tensors).float().cpu().numpy()
        return out

    def _batches(self, graphs: Graphs) -> Iterator[np.ndarray]:
        """Rows with a graph, smallest first, so that a batch holds molecules of one size."""
        sizes = graphs.sizes
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        start = 0
        while start < len(order):
            stop = min(start + self.batch_size, len(order))
            while stop - start > 1 and sizes[order[start:stop]].sum() > MAX_BATCH_ATOMS:
                stop = start + (stop - start) // 2
            yield order[start:stop]
            start = stop

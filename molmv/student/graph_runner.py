"""A trained molecular student at work: SMILES to graphs to embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from molmv import heartbeat
from molmv.device import one_thread, pick_device
from molmv.graphs import Graphs, featurise
from molmv.rows import Rows
from molmv.student.checkpoint import Checkpoint, restore
from molmv.student.gine import make_encoder
from molmv.student.inference import FastEncoder

DEFAULT_BATCH = 8192  # the more molecules, the more they share
# Atoms in one forward pass, so that a batch of macrocycles does not need more memory than one of fragments.
MAX_BATCH_ATOMS = 65_536


class GraphRunner:
    """Embeds molecules with a GINE student; see :class:`molmv.student.Runner`.

    Args:
        checkpoint: its sizes and weights.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: molecules in one forward pass.

    Raises:
        ConfigError, RuntimeError: sizes and weights do not fit.
        InputError: a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
        self.encoder = restore(lambda: make_encoder(checkpoint.config), checkpoint.weights)
        self.encoder.to(pick_device(device)).eval()
        self._fast = FastEncoder(self.encoder)
        self.batch_size, self.dim = batch_size or DEFAULT_BATCH, self.encoder.config.embedding

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused."""
        return self.encode(featurise(rows))

    def encode(self, graphs: Graphs) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of graphs; NaN for one without atoms. On a CPU it uses one core."""
        out = np.empty((len(graphs), self.dim), dtype=np.float32)
        with one_thread():
            for start, stop in self._batches(graphs):
                out[start:stop] = self._fast(graphs, start, stop).cpu().numpy()
                heartbeat.beat()
        out[graphs.sizes == 0] = np.nan
        return out

    def _batches(self, graphs: Graphs) -> Iterator[tuple[int, int]]:
        """Consecutive rows, from and up to; no more atoms than allowed, unless one molecule has more."""
        start = 0
        while start < len(graphs):
            full = np.searchsorted(graphs.atom_offsets, graphs.atom_offsets[start] + MAX_BATCH_ATOMS, side="right") - 1
            stop = min(max(int(full), start + 1), start + self.batch_size, len(graphs))
            yield start, stop
            start = stop

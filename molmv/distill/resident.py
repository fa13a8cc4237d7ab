"""Teachers' vectors in the memory of a device, so that a step waits for no disk and no copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molmv.distill.data import Inputs, StoredTargets, Targets
from molmv.embeddings import EmbeddingStore

#: Of the free memory of a device; the network and its activations need the rest.
SHARE = 0.6
_BITS = (7, 6, 5, 4, 3, 2, 1, 0)


class ResidentStore:
    """The vectors of one teacher, kept on a device as they are kept on disk.

    Args:
        packed: cells of the store, piece by piece.
        valid: which rows the teacher has, (rows,).
        encoding: see :data:`molmv.embeddings.ENCODINGS`.
        dim: width of a vector.
        device: where they are to be.
    """

    def __init__(
        self, packed: Sequence[np.ndarray], valid: np.ndarray, encoding: str, dim: int, device: torch.device
    ) -> None:
        self.encoding, self.dim = encoding, dim
        # torch computes little with uint16: its bits are kept as int16, and read as what they are.
        parts = (part.view(np.int16) if part.dtype == np.uint16 else part for part in packed)
        self._packed = torch.cat([torch.tensor(part, device=device) for part in parts])
        self._valid = torch.from_numpy(valid).to(device)

    def take(self, rows: Int64[Tensor, " b"]) -> Float[Tensor, "b dim"]:
        """Vectors of some rows, on the device."""
        cells = self._packed[rows]
        if self.encoding == "bits":
            places = torch.tensor(_BITS, dtype=torch.uint8, device=cells.device)
            bits = (cells[:, :, None] >> places) & 1
            return bits.flatten(1)[:, : self.dim].float()
        if self.encoding == "uint16":
            return (cells.int() & 0xFFFF).float()
        return cells.float()

    def valid(self, rows: Int64[Tensor, " b"]) -> Tensor:
        """Which of some rows the teacher has, on the device."""
        return self._valid[rows]


class ResidentTargets(Targets):
    """The vectors of all teachers on a device.

    Args:
        stores: of the teachers.
        device: where they are to be.
    """

    def __init__(self, stores: Mapping[str, EmbeddingStore], device: torch.device) -> None:
        self._device = device
        self._stores = {
            name: ResidentStore(store.cells, store.valid, store.header.encoding, store.header.dim, device)
            for name, store in stores.items()
        }

    def of(self, rows: np.ndarray) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Vectors of some rows, and which of them each teacher has."""
        picked = torch.from_numpy(np.asarray(rows, np.int64)).to(self._device, non_blocking=True)
        return (
            {name: store.take(picked) for name, store in self._stores.items()},
            {name: store.valid(picked) for name, store in self._stores.items()},
        )


def settle(inputs: Inputs, stores: Mapping[str, EmbeddingStore], device: torch.device) -> tuple[Inputs, Targets]:
    """Inputs and targets of the batches: on a GPU if they can be there and fit, else read batch by batch."""
    move = getattr(inputs, "on", None)
    size = sum(cells.nbytes for store in stores.values() for cells in store.cells)
    if device.type != "cuda" or move is None or size > SHARE * torch.cuda.mem_get_info(device)[0]:
        return inputs, StoredTargets(stores)
    return move(device), ResidentTargets(stores, device)

"""The graphs of a corpus in the memory of a device, from which it cuts batches itself.

A fast device would wait for a processor that puts graphs together. Here the processor only names the rows: about
130 bytes a molecule lie on the device, and a batch is a few gathers. Which environments are distinct
(:mod:`molmv.student.environments`) is not asked: a device of thousands of cores computes them sooner than it is told.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from molmv.graphs import Graphs
from molmv.student.gine import GraphTensors


class ResidentGraphs:
    """Inputs of a molecular student, as :class:`molmv.distill.data.Inputs` describes them.

    Args:
        graphs: one a row.
        device: where they are to be.

    Attributes:
        usable: True where the row has a graph, (rows,).
    """

    def __init__(self, graphs: Graphs, device: torch.device) -> None:
        self.usable = graphs.sizes > 0
        source, target, codes = _directed(graphs)
        self._device = device
        self._atom_offsets, self._edge_offsets = graphs.atom_offsets, 2 * graphs.bond_offsets
        self._starts = torch.from_numpy(np.stack([self._atom_offsets, self._edge_offsets])).to(device)
        self._atoms, self._source, self._target, self._codes = (
            torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (graphs.atoms, source, target, codes)
        )

    def batch(self, rows: Int[np.ndarray, " b"]) -> GraphTensors:
        """The graphs of some rows, on the device; edges are sorted by target. Rows may repeat, in any order."""
        picked = torch.from_numpy(np.asarray(rows, np.int64)).to(self._device, non_blocking=True)
        sizes = self._starts[:, picked + 1] - self._starts[:, picked]
        # The numbers of atoms and edges are counted here, so that the device need not be asked for them.
        atoms, graph = self._ranges(0, picked, sizes, _count(self._atom_offsets, rows))
        edges, owner = self._ranges(1, picked, sizes, _count(self._edge_offsets, rows))
        first_atom = (sizes[0].cumsum(0) - sizes[0])[owner]
        source, target = (first_atom + ends[edges] for ends in (self._source, self._target))
        return GraphTensors(self._atoms[atoms].long(), source, target, self._codes[edges].long(), graph, len(rows))

    def _ranges(
        self, which: int, rows: Int64[Tensor, " b"], sizes: Int64[Tensor, "2 b"], count: int
    ) -> tuple[Int64[Tensor, " all"], Int64[Tensor, " all"]]:
        """Positions of the atoms (0) or edges (1) of some rows, one row after the other; and the row of each."""
        size = sizes[which]
        owner = torch.repeat_interleave(torch.arange(len(size), device=self._device), size, output_size=count)
        shift = self._starts[which, rows] - (size.cumsum(0) - size)
        return torch.arange(count, device=self._device) + shift[owner], owner


def _directed(graphs: Graphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and code of every bond in both directions; within each row sorted by target."""
    row = np.repeat(np.arange(len(graphs)), np.diff(graphs.bond_offsets))
    source, target = (np.concatenate([graphs.bonds[:, i], graphs.bonds[:, 1 - i]]) for i in (0, 1))
    order = np.lexsort((target, np.tile(row, 2)))
    return source[order], target[order], np.tile(graphs.bond_codes, 2)[order]


def _count(offsets: np.ndarray, rows: Int[np.ndarray, " b"]) -> int:
    return int((offsets[np.asarray(rows) + 1] - offsets[rows]).sum())

"""A trained GINE encoder made fast: the same mathematics as :class:`molmv.student.gine.GineEncoder`, in another order.

Each distinct environment of an atom is computed once (:mod:`molmv.student.environments`), what does not depend on the
molecule (bond tables, weights of norms) is folded when the encoder is loaded, and work goes in blocks that stay in a
core's cache. ``tests/student/test_inference.py`` holds it to the plain encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from molmv.graphs import ATOM_FIELDS, NUM_BONDS, Graphs
from molmv.student.environments import Round, find_environments
from molmv.student.gine import TYPICAL_ATOMS, GineEncoder, GineLayer, sum_of_embeddings

# Rows of one matrix product: on a CPU what it reads and writes should stay in the second cache of a core.
BLOCK_ROWS = {"cpu": 512}
MANY_ROWS = 65_536  # elsewhere


class FoldedLayer(NamedTuple):
    """One round of message passing, ready to compute."""

    scale: float
    bonds: Float[Tensor, "codes width"]
    weight_1: Float[Tensor, "hidden width"]
    bias_1: Float[Tensor, " hidden"]
    weight_2: Float[Tensor, "width hidden"]
    bias_2: Float[Tensor, " width"]


def fold(layer: GineLayer, bonds: Float[Tensor, "codes width"], dtype: torch.dtype) -> FoldedLayer:
    """The layer with its table of bonds projected, and the weights of its norm inside the first product."""
    first, second, norm = cast(nn.Linear, layer.mlp[0]), cast(nn.Linear, layer.mlp[2]), layer.norm
    products = (first.weight * norm.weight, first.bias + first.weight @ norm.bias, second.weight, second.bias)
    scale = 1 + float(layer.epsilon)
    return FoldedLayer(scale, layer.project_bonds(bonds), *(w.to(dtype).contiguous() for w in products))


class FastEncoder:
    """Graphs in, one embedding a graph out.

    Args:
        encoder: the trained network.
        dtype: of the products in the rounds of message passing; sums, norms and the states between are float32.
    """

    @torch.inference_mode()
    def __init__(self, encoder: GineEncoder, dtype: torch.dtype = torch.float32) -> None:
        self.encoder = encoder
        self.device = encoder.readout.weight.device
        bonds = sum_of_embeddings(encoder.bond_embeddings, encoder.bond_fields)
        self._layers = [fold(cast(GineLayer, layer), bonds, dtype) for layer in encoder.layers]
        self._atoms = torch.cat([cast(nn.Embedding, table).weight for table in encoder.atom_embeddings])
        self._first_atom = np.cumsum([0, *ATOM_FIELDS.values()])[:-1]
        self._block = BLOCK_ROWS.get(self.device.type, MANY_ROWS)

    @torch.inference_mode()
    def __call__(self, graphs: Graphs, start: int, stop: int) -> Float[Tensor, "rows embedding"]:
        """Embeddings of the rows from ``start`` to ``stop``; for a graph without atoms as of the plain encoder."""
        found = find_environments(graphs, start, stop, len(self._layers))
        distinct = nn.functional.embedding_bag(self._index(found.atoms + self._first_atom), self._atoms, mode="sum")
        states = self._table(len(distinct))
        states[NUM_BONDS:] = distinct
        depths = [states[NUM_BONDS:]]
        for layer, turn in zip(self._layers, found.rounds, strict=True):
            centre = self._index(turn.centre)
            states = self._round(layer, turn, centre, states)
            kept = depths if self.encoder.config.readout == "all" else []
            depths = [*(depth.index_select(0, centre) for depth in kept), states[NUM_BONDS:]]
        atoms = self.encoder.norm(torch.cat(depths, 1) if len(depths) > 1 else depths[0])
        embeddings: Tensor = self.encoder.readout(self._pool(atoms, found.final, graphs.sizes[start:stop]))
        return embeddings

    def _table(self, environments: int) -> Float[Tensor, "bonds+environments width"]:
        """Room for states behind the bonds of a layer, so that one lookup adds the two."""
        return self._atoms.new_empty(NUM_BONDS + environments, self._atoms.shape[1])

    def _round(
        self, layer: FoldedLayer, turn: Round, centre: Int[Tensor, " new"], states: Float[Tensor, "bonds+old width"]
    ) -> Float[Tensor, "bonds+new width"]:
        """States of the environments of the next radius, as :meth:`_table` has them."""
        states[:NUM_BONDS] = layer.bonds
        pairs = self._index(np.stack([turn.bond, turn.source + NUM_BONDS], 1))
        messages = states.new_empty(len(pairs), states.shape[1])
        for rows in _slices(len(pairs), self._block):
            torch.clamp_min(nn.functional.embedding_bag(pairs[rows], states, mode="sum"), 0, out=messages[rows])
        old, numbers, new = states[NUM_BONDS:], self._index(turn.messages), self._table(len(centre))
        for rows in _slices(len(centre), self._block):
            offsets = turn.offsets[rows.start : rows.stop + 1]
            bags = numbers[offsets[0] : offsets[-1]], messages, self._index(offsets - offsets[0])
            own = old.index_select(0, centre[rows])
            told = nn.functional.embedding_bag(*bags, mode="sum", include_last_offset=True).add_(own, alpha=layer.scale)
            normal = nn.functional.layer_norm(told, told.shape[1:]).to(layer.weight_1.dtype)
            hidden = nn.functional.linear(normal, layer.weight_1, layer.bias_1).relu_()
            torch.add(own, nn.functional.linear(hidden, layer.weight_2, layer.bias_2), out=new[NUM_BONDS:][rows])
        return new

    def _pool(
        self, atoms: Float[Tensor, "distinct channels"], final: Int[np.ndarray, " atoms"], sizes: Int[np.ndarray, " n"]
    ) -> Float[Tensor, "n pooled"]:
        """Molecules of one size at a time: their atoms are then a block without padding."""
        kinds = self.encoder.config.pooling
        pooled = atoms.new_zeros(len(sizes), atoms.shape[1] * len(kinds))
        for rows, members in _by_size(final, sizes, self._block):
            block = atoms.index_select(0, self._index(members.ravel())).view(*members.shape, -1)
            total = block.sum(1)
            parts = {"sum": total / TYPICAL_ATOMS, "mean": total / members.shape[1]}
            if "max" in kinds:
                parts["max"] = block.amax(1)
            pooled[self._index(rows)] = torch.cat([parts[kind] for kind in kinds], 1)
        return pooled

    def _index(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(self.device)


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _by_size(
    final: Int[np.ndarray, " atoms"], sizes: Int[np.ndarray, " n"], atoms: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of one size, and ``final`` of their atoms (rows, size); at most about ``atoms`` atoms at a time."""
    starts = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    for size in np.unique(sizes[sizes > 0]):
        same = order[np.searchsorted(sizes[order], size) : np.searchsorted(sizes[order], size, side="right")]
        for part in _slices(len(same), max(atoms // int(size), 1)):
            rows = same[part]
            yield rows, final[starts[rows][:, None] + np.arange(size)]

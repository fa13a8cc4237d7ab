r"""The molecular student: a graph isomorphism network with edges (GINE).

.. math:: h_i \leftarrow h_i + \mathrm{MLP}\Big(\mathrm{LayerNorm}\big((1+\epsilon)\,h_i
          + \sum_{j \to i} \mathrm{ReLU}(h_j + e_{ij})\big)\Big)

as in Hu et al., *Strategies for pre-training graph neural networks* (arXiv 1905.12265), with residual connections.
Bonds take only :data:`molmv.graphs.NUM_BONDS` values, so each layer projects that table once and gathers from it; the
authors' code projects every bond. ``tests/student/test_gine.py`` holds a layer to torch-geometric's ``GINEConv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molmv.errors import ConfigError
from molmv.graphs import ATOM_FIELDS, BOND_FIELDS, GraphBatch, Graphs, bond_fields
from molmv.student.environments import find_environments
from molmv.student.folding import fold_into
from molmv.student.sizes import read_sizes, whole_numbers

POOLINGS = ("mean", "sum", "max")
_SELECTIONS = [order for count in (1, 2, 3) for order in permutations(POOLINGS, count)]
# Sums over atoms are divided by a typical number of atoms, so that all poolings start at the same scale.
TYPICAL_ATOMS = 24


@dataclass(frozen=True)
class GineConfig:
    """Sizes of a GINE student.

    Attributes:
        layers: rounds of message passing.
        width: channels of an atom.
        expansion: hidden width of each layer's MLP, in multiples of ``width``.
        embedding: width of the molecule's embedding.
        pooling: some of ``mean``, ``sum``, ``max`` over atoms; concatenated.
        readout: ``last`` pools the last layer, ``all`` every layer and the atom inputs (Xu et al., arXiv 1806.03536).
        hidden: width of a layer between the pooled atoms and the embedding, beside their direct connection; 0 = none.
            It sees the whole molecule, which no atom does.
    """

    layers: int = 4
    width: int = 256
    expansion: int = 2
    embedding: int = 512
    pooling: tuple[str, ...] = ("mean", "sum", "max")
    readout: str = "last"
    hidden: int = 0

    def __post_init__(self) -> None:
        whole_numbers(self, "layers", "width", "expansion", "embedding")
        whole_numbers(self, "hidden", least=0)
        if self.pooling not in _SELECTIONS:
            raise ConfigError(f"student.pooling: expected some of {', '.join(POOLINGS)}, got {self.pooling!r}.")
        if self.readout not in ("last", "all"):
            raise ConfigError(f"student.readout: expected 'last' or 'all', got {self.readout!r}.")


class GraphTensors(NamedTuple):
    """A :class:`molmv.graphs.GraphBatch` on a device; edges are sorted by target."""

    atoms: Int64[Tensor, "atoms fields"]
    source: Int64[Tensor, " edges"]
    target: Int64[Tensor, " edges"]
    bond_codes: Int64[Tensor, " edges"]
    graph: Int64[Tensor, " atoms"]
    num_graphs: int

    def to(self, device: torch.device, non_blocking: bool = False) -> GraphTensors:
        """The same on another device."""
        moved = (t.to(device, non_blocking=non_blocking) for t in self[:-1])
        return GraphTensors(*moved, self.num_graphs)  # type: ignore[arg-type,call-arg]


def graph_tensors(batch: GraphBatch) -> GraphTensors:
    """Numpy to torch. Edges are sorted by target: neighbour sums then write each row in one go."""
    order = torch.from_numpy(batch.target.argsort(kind="stable"))
    source, target, codes = (torch.from_numpy(a)[order] for a in (batch.source, batch.target, batch.bond_codes))
    atoms = torch.from_numpy(batch.atoms).long()
    return GraphTensors(atoms, source, target, codes.long(), torch.from_numpy(batch.graph), batch.num_graphs)


class Messages(NamedTuple):
    """Who tells whom in one round of message passing over distinct environments: :mod:`molmv.student.environments`."""

    centre: Int64[Tensor, " new"]
    source: Int64[Tensor, " distinct"]
    bond_codes: Int64[Tensor, " distinct"]
    which: Int64[Tensor, " edges"]
    target: Int64[Tensor, " edges"]


class EnvironmentTensors(NamedTuple):
    """A batch of graphs as what a network has to compute: each environment of an atom once.

    Attributes:
        atoms: the distinct atoms.
        rounds: one for each layer of the network.
        final: the last environment of every atom, (atoms).
        graph: the graph of every atom, ascending, (atoms).
        num_graphs: graphs in the batch.
    """

    atoms: Int64[Tensor, "distinct fields"]
    rounds: tuple[Messages, ...]
    final: Int64[Tensor, " atoms"]
    graph: Int64[Tensor, " atoms"]
    num_graphs: int

    def to(self, device: torch.device, non_blocking: bool = False) -> EnvironmentTensors:
        """The same on another device."""
        atoms, final, graph = (t.to(device, non_blocking=non_blocking) for t in (self.atoms, self.final, self.graph))
        rounds = (Messages(*(t.to(device, non_blocking=non_blocking) for t in one)) for one in self.rounds)
        return EnvironmentTensors(atoms, tuple(rounds), final, graph, self.num_graphs)


def environment_tensors(graphs: Graphs, layers: int, multiple: int = 1) -> EnvironmentTensors:
    """The distinct environments of some graphs' atoms, for a network of so many layers.

    Args:
        graphs: all of them are in the batch.
        layers: rounds of message passing.
        multiple: pad the environments of each round to a multiple of this many. Matrix libraries prepare and keep a
            kernel for each shape: batches of a few shapes need less memory than batches that each have their own.
    """
    found = find_environments(graphs, 0, len(graphs), layers)
    rounds = []
    for one in found.rounds:
        target = np.repeat(np.arange(len(one.centre)), np.diff(one.offsets))
        centre = np.pad(one.centre, (0, -len(one.centre) % multiple))
        parts = (centre, one.source, one.bond, one.messages, target)
        rounds.append(Messages(*(torch.from_numpy(part.astype(np.int64)) for part in parts)))
    graph = np.repeat(np.arange(len(graphs)), graphs.sizes)
    atoms, final = (torch.from_numpy(part.astype(np.int64)) for part in (found.atoms, found.final))
    return EnvironmentTensors(atoms, tuple(rounds), final, torch.from_numpy(graph), len(graphs))


class GineLayer(nn.Module):
    """One round of message passing. Atoms (atoms, width) in and out."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.project_bonds = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width * expansion), nn.ReLU(), nn.Linear(width * expansion, width))

    def exchange(
        self, h: Float[Tensor, "atoms width"], bonds: Float[Tensor, "codes width"], edges: GraphTensors | Messages
    ) -> tuple[Float[Tensor, "new width"], Float[Tensor, "new width"]]:
        """h_i, and (1 + ε) h_i plus the sum of the messages to i; for all atoms, or all environments of a round."""
        table = self.project_bonds(bonds).to(h.dtype)
        messages = torch.relu(h.index_select(0, edges.source) + _rows(table, edges.bond_codes))
        if isinstance(edges, Messages):
            h, messages = h.index_select(0, edges.centre), messages.index_select(0, edges.which)
        return h, ((1 + self.epsilon) * h).index_add(0, edges.target, messages)

    def forward(
        self, h: Float[Tensor, "atoms width"], bonds: Float[Tensor, "codes width"], edges: GraphTensors | Messages
    ) -> Float[Tensor, "new width"]:
        """Atoms, or environments, after the round."""
        own, told = self.exchange(h, bonds, edges)
        return own + self.mlp(self.norm(told))


class Readout(nn.Linear):
    """Pooled atoms to the embedding: linear, plus a network of one hidden layer if it has a width."""

    def __init__(self, pooled: int, hidden: int, embedding: int) -> None:
        super().__init__(pooled, embedding)
        self.bent = (
            nn.Sequential(nn.Linear(pooled, hidden), nn.ReLU(), nn.Linear(hidden, embedding)) if hidden else None
        )

    def forward(self, pooled: Float[Tensor, "graphs pooled"]) -> Float[Tensor, "graphs embedding"]:
        """Embeddings."""
        straight = super().forward(pooled)
        return straight if self.bent is None else straight + self.bent(pooled)

    def turn(self, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"]) -> None:
        """Make the embedding A z + a where it was z."""
        fold_into(self, A, a)
        if self.bent is not None:
            fold_into(cast(nn.Linear, self.bent[-1]), A, torch.zeros_like(a))


class GineEncoder(nn.Module):
    """Graphs in, one embedding a graph out.

    Args:
        config: its sizes.
    """

    bond_fields: Tensor

    def __init__(self, config: GineConfig) -> None:
        super().__init__()
        self.config = config
        self.atom_embeddings = nn.ModuleList(nn.Embedding(size, config.width) for size in ATOM_FIELDS.values())
        self.bond_embeddings = nn.ModuleList(nn.Embedding(size, config.width) for size in BOND_FIELDS.values())
        for table in [*self.atom_embeddings, *self.bond_embeddings]:
            nn.init.normal_(table.weight, std=len(ATOM_FIELDS) ** -0.5)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(GineLayer(config.width, config.expansion) for _ in range(config.layers))
        self.reads_all = config.readout == "all"
        channels = config.width * (config.layers + 1 if self.reads_all else 1)
        self.norm = nn.LayerNorm(channels)
        self.readout = Readout(channels * len(config.pooling), config.hidden, config.embedding)
        self.register_buffer("bond_fields", torch.from_numpy(bond_fields()).long(), persistent=False)

    def forward(self, graph: GraphTensors | EnvironmentTensors) -> Float[Tensor, "graphs embedding"]:
        """Embeddings of all graphs; for a graph without atoms, whatever the bias of the readout says."""
        h = sum_of_embeddings(self.atom_embeddings, graph.atoms)
        bonds = sum_of_embeddings(self.bond_embeddings, self.bond_fields)
        depths = [h]
        for i, layer in enumerate(self.layers):
            if isinstance(graph, EnvironmentTensors):
                h = layer(h, bonds, graph.rounds[i])
                depths = [depth.index_select(0, graph.rounds[i].centre) for depth in depths if self.reads_all]
            else:
                h = layer(h, bonds, graph)
            depths.append(h)
        atoms = self.norm(torch.cat(depths, dim=1) if self.reads_all else h)
        if isinstance(graph, EnvironmentTensors):
            atoms = atoms.index_select(0, graph.final)
        return self.readout(self._pool(atoms, graph))

    def turn(self, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"]) -> None:
        """Make the embedding A z + a where it was z."""
        self.readout.turn(A, a)

    def _pool(
        self, atoms: Float[Tensor, "atoms channels"], graph: GraphTensors | EnvironmentTensors
    ) -> Float[Tensor, "graphs pooled"]:
        total = atoms.new_zeros(graph.num_graphs, atoms.shape[1]).index_add(0, graph.graph, atoms)
        pooled = []
        for kind in self.config.pooling:
            if kind == "sum":
                pooled.append(total / TYPICAL_ATOMS)
            elif kind == "mean":
                pooled.append(total / _sizes(graph)[:, None].clamp(min=1).to(total.dtype))
            else:
                pooled.append(_segment_max(atoms, graph))
        return torch.cat(pooled, dim=1)


def make_config(sizes: Mapping[str, Any]) -> GineConfig:
    """From plain sizes, as they stand in a config or a checkpoint.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    return read_sizes(GineConfig, sizes)


def make_encoder(sizes: Mapping[str, Any]) -> GineEncoder:
    """A fresh encoder from plain sizes.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    return GineEncoder(make_config(sizes))


def sum_of_embeddings(tables: nn.ModuleList, fields: Int64[Tensor, "rows fields"]) -> Float[Tensor, "rows width"]:
    """Of each row, the embeddings of all its fields, added up."""
    parts = (_rows(cast(Tensor, table.weight), column) for table, column in zip(tables, fields.T, strict=True))
    return torch.stack(list(parts)).sum(0)


def _rows(table: Float[Tensor, "rows width"], numbers: Int64[Tensor, " n"]) -> Float[Tensor, "n width"]:
    """Rows of a small table."""
    if not table.is_cuda:
        return nn.functional.embedding(numbers, table)
    return cast(Tensor, _RowsOfSmallTable.apply(table, numbers))


class _RowsOfSmallTable(torch.autograd.Function):
    """The gradient as a matrix product: a GPU's threads would wait for each other to add to the same few rows."""

    @staticmethod
    def forward(context: Any, table: Tensor, numbers: Tensor) -> Tensor:
        context.save_for_backward(numbers)
        context.rows = len(table)
        return table.index_select(0, numbers)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (numbers,) = context.saved_tensors
        chosen = gradient.new_zeros(len(numbers), context.rows).scatter_(1, numbers[:, None], 1.0)
        return chosen.T @ gradient, None


def _sizes(graph: GraphTensors | EnvironmentTensors) -> Int64[Tensor, " graphs"]:
    """Atoms of each graph. A count that the device is not waited for, as it is by ``bincount``."""
    return graph.graph.new_zeros(graph.num_graphs).index_add(0, graph.graph, torch.ones_like(graph.graph))


def _segment_max(
    atoms: Float[Tensor, "atoms channels"], graph: GraphTensors | EnvironmentTensors
) -> Float[Tensor, "graphs channels"]:
    """Maximum over each graph's atoms, which are contiguous; 0 for a graph without atoms."""
    sizes = _sizes(graph)
    # unsafe: it does not ask the device whether the sizes add up.
    highest = torch.segment_reduce(atoms.float(), "max", lengths=sizes, axis=0, initial=-torch.inf, unsafe=True)
    return torch.where((sizes > 0)[:, None], highest, 0.0)

r"""The molecular student: a graph isomorphism network with edges (GINE).

.. math:: h_i \leftarrow h_i + \mathrm{MLP}\Big(\mathrm{LayerNorm}\big((1+\epsilon)\,h_i
          + \sum_{j \to i} \mathrm{ReLU}(h_j + e_{ij})\big)\Big)

as in Hu et al., *Strategies for pre-training graph neural networks* (arXiv 1905.12265), with residual connections.
Bonds take only :data:`molmv.graphs.NUM_BONDS` values, so each layer projects that table once and gathers from it; the
authors' code projects every bond. ``tests/student/test_gine.py`` holds a layer to torch-geometric's ``GINEConv``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molmv.errors import ConfigError
from molmv.graphs import ATOM_FIELDS, BOND_FIELDS, GraphBatch, bond_fields

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
        pool_width: channels that each atom is widened to, by a linear map and ReLU, before pooling: sums of many
            sparse features are a learnt count fingerprint (Duvenaud et al., arXiv 1509.09292). 0 = pool atoms as they are.
        virtual_node: whether a node that all atoms of a molecule share is updated and read in every round (Gilmer et
            al., arXiv 1704.01212).
    """

    layers: int = 4
    width: int = 256
    expansion: int = 2
    embedding: int = 512
    pooling: tuple[str, ...] = ("mean", "sum", "max")
    readout: str = "last"
    pool_width: int = 0
    virtual_node: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "width", "expansion", "embedding"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigError(f"student.{name}: expected a whole number above 0, got {getattr(self, name)!r}.")
        if self.pooling not in _SELECTIONS:
            raise ConfigError(f"student.pooling: expected some of {', '.join(POOLINGS)}, got {self.pooling!r}.")
        if self.readout not in ("last", "all"):
            raise ConfigError(f"student.readout: expected 'last' or 'all', got {self.readout!r}.")
        if type(self.pool_width) is not int or self.pool_width < 0:
            raise ConfigError(f"student.pool_width: expected a whole number from 0, got {self.pool_width!r}.")
        if type(self.virtual_node) is not bool:
            raise ConfigError(f"student.virtual_node: expected true or false, got {self.virtual_node!r}.")


class GraphTensors(NamedTuple):
    """A :class:`molmv.graphs.GraphBatch` on a device; edges are sorted by target.

    Atoms whose graph is ``num_graphs`` are padding: they come last, have no edges and are pooled into nothing.
    """

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


def graph_tensors(batch: GraphBatch, multiple: int = 1) -> GraphTensors:
    """Numpy to torch. Edges are sorted by target: neighbour sums then write each row in one go.

    Args:
        batch: the graphs.
        multiple: pad the atoms to a multiple of this many. Matrix libraries prepare and keep a kernel for each shape:
            batches of a few shapes need less memory, and no more time, than batches that each have their own.
    """
    order = torch.from_numpy(batch.target.argsort(kind="stable"))
    source, target, codes = (torch.from_numpy(a)[order] for a in (batch.source, batch.target, batch.bond_codes))
    padding = -len(batch.atoms) % multiple
    atoms = nn.functional.pad(torch.from_numpy(batch.atoms).long(), (0, 0, 0, padding))
    graph = nn.functional.pad(torch.from_numpy(batch.graph), (0, padding), value=batch.num_graphs)
    return GraphTensors(atoms, source, target, codes.long(), graph, batch.num_graphs)


class GineLayer(nn.Module):
    """One round of message passing. Atoms (atoms, width) in and out."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.project_bonds = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width * expansion), nn.ReLU(), nn.Linear(width * expansion, width))

    def aggregate(
        self, h: Float[Tensor, "atoms width"], bonds: Float[Tensor, "codes width"], graph: GraphTensors
    ) -> Float[Tensor, "atoms width"]:
        """(1 + ε) h_i plus the sum of the messages to atom i."""
        table = self.project_bonds(bonds).to(h.dtype)
        messages = torch.relu(h.index_select(0, graph.source) + nn.functional.embedding(graph.bond_codes, table))
        return ((1 + self.epsilon) * h).index_add(0, graph.target, messages)

    def forward(
        self, h: Float[Tensor, "atoms width"], bonds: Float[Tensor, "codes width"], graph: GraphTensors
    ) -> Float[Tensor, "atoms width"]:
        """Atoms after the round."""
        return h + self.mlp(self.norm(self.aggregate(h, bonds, graph)))


class VirtualNode(nn.Module):
    """What a molecule's atoms share: it reads their mean, keeps a state, and adds it to each of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(
        self, h: Float[Tensor, "atoms width"], shared: Float[Tensor, "graphs+1 width"], graph: GraphTensors
    ) -> tuple[Float[Tensor, "atoms width"], Float[Tensor, "graphs+1 width"]]:
        """Atoms and shared states after the exchange."""
        mean = _sum_by_graph(h, graph) / _sizes(graph).clamp(min=1)[:, None].to(h.dtype)
        shared = shared + self.mlp(self.norm(shared + mean))
        return h + shared.index_select(0, graph.graph).to(h.dtype), shared


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
        self.virtual_nodes = nn.ModuleList(
            VirtualNode(config.width) for _ in range(config.layers if config.virtual_node else 0)
        )
        channels = config.width * (config.layers + 1 if config.readout == "all" else 1)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, config.pool_width) if config.pool_width else None
        self.readout = nn.Linear((config.pool_width or channels) * len(config.pooling), config.embedding)
        self.register_buffer("bond_fields", torch.from_numpy(bond_fields()).long(), persistent=False)

    def forward(self, graph: GraphTensors) -> Float[Tensor, "graphs embedding"]:
        """Embeddings of all graphs; for a graph without atoms, whatever the bias of the readout says."""
        h = _sum_of_embeddings(self.atom_embeddings, graph.atoms)
        bonds = _sum_of_embeddings(self.bond_embeddings, self.bond_fields)
        depths = [h]
        shared = h.new_zeros(graph.num_graphs + 1, h.shape[1])
        for i, layer in enumerate(self.layers):
            if self.config.virtual_node:
                h, shared = self.virtual_nodes[i](h, shared, graph)
            h = layer(h, bonds, graph)
            depths.append(h)
        atoms = self.norm(torch.cat(depths, dim=1) if self.config.readout == "all" else h)
        if self.widen is not None:
            atoms = torch.relu(self.widen(atoms))
        return self.readout(self._pool(atoms, graph))

    def _pool(self, atoms: Float[Tensor, "atoms channels"], graph: GraphTensors) -> Float[Tensor, "graphs pooled"]:
        total = _sum_by_graph(atoms, graph)[: graph.num_graphs]
        pooled = []
        for kind in self.config.pooling:
            if kind == "sum":
                pooled.append(total / TYPICAL_ATOMS)
            elif kind == "mean":
                size = _sizes(graph)[: graph.num_graphs].clamp(min=1)
                pooled.append(total / size[:, None].to(total.dtype))
            else:
                pooled.append(_segment_max(atoms, graph))
        return torch.cat(pooled, dim=1)


def make_encoder(sizes: Mapping[str, Any]) -> GineEncoder:
    """A fresh encoder from plain sizes, as they stand in a config or a checkpoint.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    for name in sizes:
        if name not in GineConfig.__dataclass_fields__:
            near = difflib.get_close_matches(name, GineConfig.__dataclass_fields__, n=1)
            raise ConfigError(f"student: unknown key {name!r}.", f"Did you mean {near[0]!r}?" if near else "")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}
    return GineEncoder(GineConfig(**plain))


def _sum_of_embeddings(tables: nn.ModuleList, fields: Int64[Tensor, "rows fields"]) -> Float[Tensor, "rows width"]:
    parts = (table(column) for table, column in zip(tables, fields.T, strict=True))
    return torch.stack(list(parts)).sum(0)


def _segment_max(atoms: Float[Tensor, "atoms channels"], graph: GraphTensors) -> Float[Tensor, "graphs channels"]:
    """Maximum over each graph's atoms, which are contiguous; 0 for a graph without atoms."""
    sizes = _sizes(graph)
    highest = torch.segment_reduce(atoms.float(), "max", lengths=sizes, axis=0, initial=-torch.inf)
    return torch.where((sizes > 0)[:, None], highest, 0.0)[: graph.num_graphs]


def _sum_by_graph(atoms: Float[Tensor, "atoms channels"], graph: GraphTensors) -> Float[Tensor, "graphs+1 channels"]:
    """Sum over each graph's atoms; the last row is the padding's."""
    return atoms.new_zeros(graph.num_graphs + 1, atoms.shape[1]).index_add(0, graph.graph, atoms)


def _sizes(graph: GraphTensors) -> Int64[Tensor, " graphs+1"]:
    """Atoms of each graph; the last number is the padding's."""
    return torch.bincount(graph.graph, minlength=graph.num_graphs + 1)

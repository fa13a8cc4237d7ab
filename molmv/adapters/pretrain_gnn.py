"""The pretrained graph networks of Hu et al., "Strategies for Pre-training Graph Neural Networks" (arXiv:1905.12265).

An atom is its element and its chirality tag, a bond its type and its direction; each is the sum of two learnt vectors.
Five layers pass messages over the bonds, in both directions, and from each atom to itself by a bond of a type of its
own; batch norm follows each layer, ReLU all but the last. The molecule is the mean of its atoms. With h the vector
of an atom, e that of a bond, N(i) the neighbours of i and i itself, d = |N(i)|, the layers are

* ``gcn``: sum over j in N(i) of (W h_j + b + e_ij) / sqrt(d_i d_j);
* ``graphsage``: mean over j in N(i) of (W h_j + b + e_ij), divided by its length;
* ``gat``: for each of two heads m_ij = W h_j + b + e_ij, sum over j in N(i) of a_ij m_ij, where a_ij is the softmax
  over N(i) of LeakyReLU(u·(W h_i + b) + v·m_ij); then the mean of the heads, and a bias;
* ``gin``: an MLP of one hidden layer, twice as wide, of the sum over j in N(i) of (h_j + e_ij).

The softmax is over the messages that reach an atom. The published code groups it by the first row of its edge list,
which is the receiving end in the version of PyTorch Geometric that it was written for and the weights were trained
with (1.0.3), and the sending end since 1.1.

What runs the messages is another library's: :mod:`molmv.adapters.pyg_gnn`, :mod:`molmv.adapters.dgl_gnn`.
"""

from __future__ import annotations

import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, one_hot

from molmv.adapters.pretrain_gnn_features import (
    BOND_DIRECTIONS,
    BOND_TYPES,
    CHIRALITIES,
    ELEMENTS,
    Graph,
    featurise,
)
from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, WeightsError
from molmv.weights import locate

LAYERS, DIM, HEADS = 5, 300, 2
BOND_KINDS = BOND_TYPES * BOND_DIRECTIONS
POOLINGS = ("mean", "sum", "max")
# Start of a tensor's name as Hu et al. have it (a pattern) -> as DGL-LifeSci has it.
_LIFESCI = {
    r"^x_embedding1": "node_embeddings.0",
    r"^x_embedding2": "node_embeddings.1",
    r"^gnns\.(\d)\.edge_embedding1": r"gnn_layers.\1.edge_embeddings.0",
    r"^gnns\.(\d)\.edge_embedding2": r"gnn_layers.\1.edge_embeddings.1",
    r"^gnns\.": "gnn_layers.",
    r"^batch_norms\.(\d)": r"gnn_layers.\1.bn",
}
SUB_BATCH = 32  # fastest on one core; the messages of larger batches fall out of the cache


class MessagePassing(Protocol):
    """What a library does for a batch of molecules; a message goes along each edge, from its source to its target."""

    source: Int[Tensor, " edges"]
    target: Int[Tensor, " edges"]

    def sum(
        self, x: Float[Tensor, "atoms heads dim"], share: Float[Tensor, "edges heads"]
    ) -> Float[Tensor, "atoms heads dim"]:
        """For each atom, the sum of ``share * x[source]`` over the edges that reach it."""

    def sum_edges(self, values: Float[Tensor, "edges values"]) -> Float[Tensor, "atoms values"]:
        """For each atom, the sum of what the edges that reach it carry."""

    def softmax(self, scores: Float[Tensor, "edges heads"]) -> Float[Tensor, "edges heads"]:
        """Softmax over the edges that reach the same atom."""

    def pool(self, h: Float[Tensor, "atoms dim"], how: str) -> Float[Tensor, "molecules dim"]:
        """For each molecule the ``mean``, ``sum`` or ``max`` of its atoms."""


class PretrainGnn(ABC):
    """Embeds SMILES with one of the networks.

    Options of the card: ``architecture`` (``gcn``, ``graphsage``, ``gat``, ``gin``), ``layer`` (whose atom vectors are
    pooled, 1 to 5; the last by default), ``pooling`` (``mean`` by default, ``sum``, ``max``).

    Args:
        card: its options say which network, its weights are loaded.
        device: where to compute.

    Raises:
        CardError: an option has an impossible value.
        WeightsError: the weights are missing or are not those of this network.
    """

    dim = DIM

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        options = {"layer": LAYERS, "pooling": "mean", **card.options}
        allowed = {"architecture": tuple(_LAYER), "layer": tuple(range(1, LAYERS + 1)), "pooling": POOLINGS}
        for key in allowed.keys() | options.keys():
            if options.get(key) not in allowed.get(key, ()):
                known = ", ".join(map(str, allowed.get(key, ()))) or f"no such option, but {', '.join(allowed)}"
                raise CardError(f"Teacher {card.name!r}: option {key}: expected {known}; found {options.get(key)!r}.")
        self._layer, self._pooling = options["layer"], options["pooling"]
        self._device = pick_device(device)
        self._network = load_network(card.name, locate(card), options["architecture"]).to(self._device)

    @abstractmethod
    def passing(self, graph: Graph) -> MessagePassing:
        """How messages run over a graph, on the device of the network."""

    @torch.inference_mode()
    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Embed molecules.

        Args:
            smiles: the text matters: RDKit's chirality tags (clockwise or not) and bond directions (up or down)
                depend on the order of the atoms.

        Returns:
            A float32 array ``(len(smiles), 300)``. A molecule with an atom, a bond or a stereocentre that the networks
            have no vector for (``*``, dative bonds, square planar, …) gives a row of NaN.
        """
        out = np.full((len(smiles), DIM), np.nan, dtype=np.float32)
        for start in range(0, len(smiles), SUB_BATCH):
            graph, rows = featurise(smiles[start : start + SUB_BATCH])
            if rows:
                out[np.add(rows, start)] = self._embed(graph)
        return out

    def _embed(self, graph: Graph) -> np.ndarray:
        atoms, bonds = (torch.from_numpy(part).to(self._device) for part in (graph.atoms, graph.bonds))
        passing = self.passing(graph)
        return passing.pool(self._network(atoms, bonds, passing, self._layer), self._pooling).cpu().numpy()


def load_network(name: str, path: Path, architecture: str) -> Network:
    """The network of a weights file, named as Hu et al. or as DGL-LifeSci name its tensors.

    Args:
        name: of the teacher, for the messages.
        path: a verified file.
        architecture: ``gcn``, ``graphsage``, ``gat`` or ``gin``.

    Raises:
        WeightsError: a tensor is missing, too many or of another shape, or the file is not one of tensors.
    """
    network = Network(architecture)
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        found = found.get("model_state_dict", found)  # DGL-LifeSci has files of both kinds
        lifesci = any(key.startswith("gnn_layers.") for key in found)
        named = {key: _lifesci_name(key) if lifesci else key for key in network.state_dict()}
        faults = [f"lacks {key}" for key in named.values() if key not in found]
        faults += [f"has {key} besides" for key in found.keys() - named.values()]
        if faults:
            raise RuntimeError("; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if faults[3:] else ""))
        network.load_state_dict({key: found[theirs] for key, theirs in named.items()})
    except (
        RuntimeError,
        OSError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
        EOFError,
        TypeError,
        AttributeError,
    ) as error:
        why = " ".join(str(error).split())
        raise WeightsError(f"Teacher {name!r}: {path} does not hold the weights of a {architecture}: {why}") from error
    return network.eval()


def _lifesci_name(key: str) -> str:
    """What DGL-LifeSci calls a tensor of the same network."""
    for ours, theirs in _LIFESCI.items():
        key = re.sub(ours, theirs, key)
    return key


class Network(nn.Module):
    """Names and shapes of its parameters are those of the published weights."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.x_embedding1, self.x_embedding2 = nn.Embedding(ELEMENTS, DIM), nn.Embedding(CHIRALITIES, DIM)
        self.gnns = nn.ModuleList(_LAYER[architecture]() for _ in range(LAYERS))
        self.batch_norms = nn.ModuleList(nn.BatchNorm1d(DIM) for _ in range(LAYERS))

    def forward(
        self, atoms: Int[Tensor, "atoms 2"], bonds: Int[Tensor, "edges 2"], passing: MessagePassing, layer: int
    ) -> Float[Tensor, "atoms 300"]:
        """Vectors of the atoms after a layer, counted from 1."""
        h: Tensor = self.x_embedding1(atoms[:, 0]) + self.x_embedding2(atoms[:, 1])
        kinds = one_hot(bonds[:, 0] * BOND_DIRECTIONS + bonds[:, 1], BOND_KINDS).to(h.dtype)
        for k in range(layer):
            h = self.batch_norms[k](self.gnns[k](h, kinds, passing))
            if k < LAYERS - 1:
                h = h.relu()
        return h


class _Layer(nn.Module):
    """What the layers share: a vector for each kind of bond, the sum of those of its type and its direction."""

    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        self.edge_embedding1 = nn.Embedding(BOND_TYPES, heads * DIM)
        self.edge_embedding2 = nn.Embedding(BOND_DIRECTIONS, heads * DIM)

    def bond_vectors(self) -> Float[Tensor, "kinds heads dim"]:
        both = self.edge_embedding1.weight[:, None] + self.edge_embedding2.weight
        return both.flatten(0, 1).unflatten(1, (-1, DIM))

    def mix(
        self,
        x: Float[Tensor, "atoms heads dim"],
        share: Float[Tensor, "edges heads"],
        kinds: Float[Tensor, "edges kinds"],
        passing: MessagePassing,
    ) -> Float[Tensor, "atoms heads dim"]:
        """``sum over j of share_ij (x_j + e_ij)``; bonds are of few kinds: the shares of each kind are added first."""
        of_kinds = passing.sum_edges((share[:, :, None] * kinds[:, None]).flatten(1)).unflatten(1, (-1, BOND_KINDS))
        return passing.sum(x, share) + torch.einsum("ahk,khd->ahd", of_kinds, self.bond_vectors())


class _Gcn(_Layer):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(DIM, DIM)

    def forward(self, h: Tensor, kinds: Tensor, passing: MessagePassing) -> Tensor:
        root = passing.sum_edges(torch.ones_like(kinds[:, :1])).rsqrt()
        return self.mix(self.linear(h)[:, None], root[passing.source] * root[passing.target], kinds, passing)[:, 0]


class _GraphSage(_Layer):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(DIM, DIM)

    def forward(self, h: Tensor, kinds: Tensor, passing: MessagePassing) -> Tensor:
        degree = passing.sum_edges(torch.ones_like(kinds[:, :1]))
        return normalize(self.mix(self.linear(h)[:, None], 1 / degree[passing.target], kinds, passing)[:, 0], dim=1)


class _Gat(_Layer):
    def __init__(self) -> None:
        super().__init__(HEADS)
        self.weight_linear = nn.Linear(DIM, HEADS * DIM)
        self.att = nn.Parameter(torch.empty(1, HEADS, 2 * DIM))  # u, then v
        self.bias = nn.Parameter(torch.empty(DIM))

    def forward(self, h: Tensor, kinds: Tensor, passing: MessagePassing) -> Tensor:
        u, v = self.att[0].split(DIM, dim=1)
        wh = self.weight_linear(h).unflatten(1, (HEADS, DIM))
        score = (wh * u).sum(-1)[passing.target] + (wh * v).sum(-1)[passing.source]
        share = passing.softmax(leaky_relu(score + kinds @ (self.bond_vectors() * v).sum(-1), 0.2))
        return self.mix(wh, share, kinds, passing).mean(1) + self.bias


class _Gin(_Layer):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.ReLU(), nn.Linear(2 * DIM, DIM))

    def forward(self, h: Tensor, kinds: Tensor, passing: MessagePassing) -> Tensor:
        out: Tensor = self.mlp(self.mix(h[:, None], torch.ones_like(kinds[:, :1]), kinds, passing)[:, 0])
        return out


_LAYER: dict[str, Any] = {"gcn": _Gcn, "graphsage": _GraphSage, "gat": _Gat, "gin": _Gin}

"""The pretrained graph networks of Hu et al., "Strategies for Pre-training Graph Neural Networks" (arXiv:1905.12265).

An atom is its element and its chirality tag, a bond its type and its direction; each is the sum of two learnt vectors.
Five layers pass messages over the bonds, in both directions, and from each atom to itself by a bond of a type of its
own; batch norm follows each layer, ReLU all but the last. The molecule is the mean of its atoms. With h the vector
of an atom, e that of a bond, N(i) the neighbours of i and i itself, d = |N(i)|, the layers are

* ``gcn``: sum over j in N(i) of (W h_j + b + e_ij) / sqrt(d_i d_j);
* ``graphsage``: mean over j in N(i) of (W h_j + b + e_ij), divided by its length;
* ``gat``: for each of two heads m_ij = W h_j + b + e_ij, sum over j in N(i) of a_ij m_ij, where a_ij is the softmax
  over N(i) of LeakyReLU(u·(W h_i + b) + v·m_ij); then the mean of the heads, and a bias.

The softmax is over the messages that reach an atom. The published code groups it by the first row of its edge list,
which is the receiving end in the version of PyTorch Geometric that it was written for and the weights were trained
with (1.0.3), and the sending end since 1.1.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError, WeightsError
from molmv.molecules import quiet
from molmv.weights import locate

if TYPE_CHECKING:
    from rdkit.Chem import Mol

LAYERS, DIM, HEADS = 5, 300, 2
ELEMENTS, CHIRALITIES, BOND_TYPES, BOND_DIRECTIONS = 120, 3, 6, 3  # rows of the tables in the weights
SELF_LOOP = 4  # a bond type; the last rows of ELEMENTS and of BOND_TYPES are for masked atoms and bonds
POOLINGS = ("mean", "sum", "max")
SUB_BATCH = 32  # fastest on one core; the messages of larger batches fall out of the cache
# RDKit's values, by name, that have a row in the tables.
CHIRALITY = {"CHI_UNSPECIFIED": 0, "CHI_TETRAHEDRAL_CW": 1, "CHI_TETRAHEDRAL_CCW": 2}
BOND_TYPE = {"SINGLE": 0, "DOUBLE": 1, "TRIPLE": 2, "AROMATIC": 3}
BOND_DIRECTION = {"NONE": 0, "ENDUPRIGHT": 1, "ENDDOWNRIGHT": 2}


@dataclass(frozen=True)
class Graph:
    """One molecule, or several side by side.

    Attributes:
        atoms: ``(atoms, 2)``: element, chirality.
        ends: ``(2, edges)``: from which atom, to which; each bond twice, then each atom to itself.
        bonds: ``(edges, 2)``: type, direction.
        sizes: ``(molecules,)``: atoms of each.
    """

    atoms: np.ndarray
    ends: np.ndarray
    bonds: np.ndarray
    sizes: np.ndarray


class PygGnn:
    """Embeds SMILES with one of the networks.

    Options of the card: ``architecture`` (``gcn``, ``graphsage``, ``gat``), ``layer`` (whose atom vectors are pooled,
    1 to 5; the last by default), ``pooling`` (``mean`` by default, ``sum``, ``max``).

    Args:
        card: its options say which network, its weights are loaded.
        device: where to compute.

    Raises:
        CardError: an option has an impossible value.
        MissingExtraError: PyTorch Geometric is not installed.
        WeightsError: the weights are missing or are not those of this network.
    """

    dim = DIM

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        try:
            import torch_geometric.utils  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(error.name or "torch-geometric", "pyg") from error
        options = {"layer": LAYERS, "pooling": "mean", **card.options}
        allowed = {"architecture": tuple(_LAYER), "layer": tuple(range(1, LAYERS + 1)), "pooling": POOLINGS}
        for key in allowed.keys() | options.keys():
            if options.get(key) not in allowed.get(key, ()):
                known = ", ".join(map(str, allowed.get(key, ()))) or f"no such option, but {', '.join(allowed)}"
                raise CardError(f"Teacher {card.name!r}: option {key}: expected {known}; found {options.get(key)!r}.")
        self._layer, self._pooling = options["layer"], options["pooling"]
        self._device = pick_device(device)
        self._network = _load(card.name, locate(card), options["architecture"]).to(self._device)

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
            graphs = [featurise(text) for text in smiles[start : start + SUB_BATCH]]
            rows = [start + i for i, graph in enumerate(graphs) if graph is not None]
            if rows:
                out[rows] = self._embed(join([graph for graph in graphs if graph is not None]))
        return out

    def _embed(self, graph: Graph) -> np.ndarray:
        from torch_geometric.utils import scatter

        atoms, ends, bonds, sizes = (
            torch.from_numpy(part).to(self._device) for part in (graph.atoms, graph.ends, graph.bonds, graph.sizes)
        )
        molecule = torch.repeat_interleave(sizes)
        h = self._network(atoms, ends, bonds, self._layer)
        return scatter(h, molecule, dim=0, dim_size=len(sizes), reduce=self._pooling).cpu().numpy()


def featurise(smiles: str) -> Graph | None:
    """The graph of a molecule; None if it has no atoms, or some feature has no row in the tables."""
    from rdkit import Chem

    with quiet():
        mol = Chem.MolFromSmiles(smiles)
    try:
        return _graph(mol) if mol is not None and mol.GetNumAtoms() else None
    except KeyError:  # not in a vocabulary
        return None


def _graph(mol: Mol) -> Graph:
    atoms = [(_element(atom.GetAtomicNum()), CHIRALITY[atom.GetChiralTag().name]) for atom in mol.GetAtoms()]
    ends, bonds = [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [(i, j), (j, i)]
        bonds += [(BOND_TYPE[bond.GetBondType().name], BOND_DIRECTION[bond.GetBondDir().name])] * 2
    ends += [(i, i) for i in range(len(atoms))]
    bonds += [(SELF_LOOP, BOND_DIRECTION["NONE"])] * len(atoms)
    return Graph(np.array(atoms), np.array(ends).T, np.array(bonds), np.array([len(atoms)]))


def _element(number: int) -> int:
    """Row of an element; raises KeyError for a dummy atom, which has none."""
    if number == 0:
        raise KeyError(number)
    return number - 1


def join(graphs: Sequence[Graph]) -> Graph:
    """Molecules side by side, as one graph."""
    sizes = np.concatenate([graph.sizes for graph in graphs])
    starts = np.cumsum(sizes) - sizes
    return Graph(
        np.concatenate([graph.atoms for graph in graphs]),
        np.concatenate([graph.ends + start for graph, start in zip(graphs, starts, strict=True)], axis=1),
        np.concatenate([graph.bonds for graph in graphs]),
        sizes,
    )


def _load(name: str, path: Path, architecture: str) -> _Network:
    network = _Network(architecture)
    try:
        network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise WeightsError(f"Teacher {name!r}: {path} does not hold the weights of a {architecture}: {why}") from error
    return network.eval()


class _Network(nn.Module):
    """Names and shapes of its parameters are those of the published weights."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.x_embedding1, self.x_embedding2 = nn.Embedding(ELEMENTS, DIM), nn.Embedding(CHIRALITIES, DIM)
        self.gnns = nn.ModuleList(_LAYER[architecture]() for _ in range(LAYERS))
        self.batch_norms = nn.ModuleList(nn.BatchNorm1d(DIM) for _ in range(LAYERS))

    def forward(self, atoms: Tensor, ends: Tensor, bonds: Tensor, layer: int) -> Tensor:
        """Vectors ``(atoms, 300)`` after a layer, counted from 1."""
        h: Tensor = self.x_embedding1(atoms[:, 0]) + self.x_embedding2(atoms[:, 1])
        for k in range(layer):
            h = self.batch_norms[k](self.gnns[k](h, ends, bonds))
            if k < LAYERS - 1:
                h = h.relu()
        return h


class _Layer(nn.Module):
    """What the layers share: a vector for each bond, the sum of those of its type and its direction."""

    def __init__(self, width: int = DIM) -> None:
        super().__init__()
        self.edge_embedding1 = nn.Embedding(BOND_TYPES, width)
        self.edge_embedding2 = nn.Embedding(BOND_DIRECTIONS, width)

    def messages(self, wh: Tensor, source: Tensor, bonds: Tensor) -> Tensor:
        """``W h_j + b + e_ij`` of every edge, ``(edges, width)``."""
        e = self.edge_embedding1.weight[:, None] + self.edge_embedding2.weight  # of the few bonds that there are
        return wh[source] + e.flatten(0, 1)[bonds[:, 0] * BOND_DIRECTIONS + bonds[:, 1]]


class _Gcn(_Layer):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(DIM, DIM)

    def forward(self, h: Tensor, ends: Tensor, bonds: Tensor) -> Tensor:
        from torch_geometric.utils import degree, scatter

        source, target = ends
        root = degree(target, len(h), dtype=h.dtype).rsqrt()
        messages = self.messages(self.linear(h), source, bonds) * (root[source] * root[target])[:, None]
        return scatter(messages, target, dim=0, dim_size=len(h), reduce="sum")


class _GraphSage(_Layer):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(DIM, DIM)

    def forward(self, h: Tensor, ends: Tensor, bonds: Tensor) -> Tensor:
        from torch_geometric.utils import scatter

        source, target = ends
        messages = self.messages(self.linear(h), source, bonds)
        return normalize(scatter(messages, target, dim=0, dim_size=len(h), reduce="mean"), dim=1)


class _Gat(_Layer):
    def __init__(self) -> None:
        super().__init__(HEADS * DIM)
        self.weight_linear = nn.Linear(DIM, HEADS * DIM)
        self.att = nn.Parameter(torch.empty(1, HEADS, 2 * DIM))  # u, then v
        self.bias = nn.Parameter(torch.empty(DIM))

    def forward(self, h: Tensor, ends: Tensor, bonds: Tensor) -> Tensor:
        from torch_geometric.utils import scatter, softmax

        source, target = ends
        u, v = self.att[0].split(DIM, dim=1)
        wh = self.weight_linear(h)
        messages = self.messages(wh, source, bonds).unflatten(1, (HEADS, DIM))
        score = (wh.unflatten(1, (HEADS, DIM)) * u).sum(-1)[target] + (messages * v).sum(-1)
        share = softmax(leaky_relu(score, 0.2), target, num_nodes=len(h), dim=0)
        # The mean over the heads, then the sum over the messages: the same, with half of the rows to add.
        mixed = (messages * share[:, :, None]).mean(1)
        return scatter(mixed, target, dim=0, dim_size=len(h), reduce="sum") + self.bias


_LAYER: dict[str, Any] = {"gcn": _Gcn, "graphsage": _GraphSage, "gat": _Gat}

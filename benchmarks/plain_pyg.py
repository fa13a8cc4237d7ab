"""The pretrained graph networks as one writes them on PyTorch Geometric: ``Data``, ``DataLoader``, ``MessagePassing``.

With random weights, which cost what trained ones cost. :mod:`benchmarks.teachers` compares molmv with them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from rdkit import Chem
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.utils import add_self_loops, degree, softmax

DIM, HEADS, LAYERS = 300, 2, 5


def graph(smiles: str) -> Data:
    mol = Chem.MolFromSmiles(smiles)
    x = [(atom.GetAtomicNum() - 1, min(int(atom.GetChiralTag()), 2)) for atom in mol.GetAtoms()]
    ends, bonds = [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [(i, j), (j, i)]
        bonds += [(int(bond.GetBondTypeAsDouble() * 2) % 4, min(int(bond.GetBondDir()), 2))] * 2
    edges = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous()
    return Data(x=torch.tensor(x), edge_index=edges, edge_attr=torch.tensor(bonds, dtype=torch.long).reshape(-1, 2))


class Conv(MessagePassing):
    def __init__(self, kind: str) -> None:
        super().__init__(aggr="mean" if kind == "graphsage" else "add", node_dim=0)
        self.kind, self.heads = kind, HEADS if kind == "gat" else 1
        width = DIM * self.heads
        self.linear = nn.Linear(DIM, width)
        self.bond_type, self.direction = nn.Embedding(6, width), nn.Embedding(3, width)
        self.att = nn.Parameter(torch.randn(1, HEADS, 2 * DIM) * 0.05)

    def forward(self, x, edge_index, edge_attr):
        edge_index, _ = add_self_loops(edge_index, num_nodes=len(x))
        loops = torch.tensor([[4, 0]]).expand(len(x), 2)
        edge_attr = torch.cat([edge_attr, loops])
        e = self.bond_type(edge_attr[:, 0]) + self.direction(edge_attr[:, 1])
        x = self.linear(x)
        if self.kind == "gcn":
            root = degree(edge_index[1], len(x)).rsqrt()
            return self.propagate(edge_index, x=x, e=e, norm=root[edge_index[0]] * root[edge_index[1]])
        if self.kind == "graphsage":
            return nn.functional.normalize(self.propagate(edge_index, x=x, e=e, norm=None), dim=-1)
        x, e = x.view(-1, HEADS, DIM), e.view(-1, HEADS, DIM)
        return self.propagate(edge_index, x=x, e=e, norm=None).mean(1)

    def message(self, x_i, x_j, e, norm, edge_index_i):
        if self.kind == "gat":
            m = x_j + e
            score = nn.functional.leaky_relu((torch.cat([x_i, m], dim=-1) * self.att).sum(-1), 0.2)
            return m * softmax(score, edge_index_i)[..., None]
        return x_j + e if norm is None else norm[:, None] * (x_j + e)


class Network(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.element, self.chirality = nn.Embedding(120, DIM), nn.Embedding(3, DIM)
        self.convs = nn.ModuleList(Conv(kind) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.BatchNorm1d(DIM) for _ in range(LAYERS))

    def forward(self, data):
        h = self.element(data.x[:, 0]) + self.chirality(data.x[:, 1])
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(conv(h, data.edge_index, data.edge_attr))
            h = h.relu() if k < LAYERS - 1 else h
        return global_mean_pool(h, data.batch)


def embedder(kind: str, batch_size: int):
    network = Network(kind).eval()

    @torch.inference_mode()
    def embed(smiles: Sequence[str]) -> np.ndarray:
        loader = DataLoader([graph(text) for text in smiles], batch_size=batch_size)
        return torch.cat([network(batch) for batch in loader]).numpy()

    return embed

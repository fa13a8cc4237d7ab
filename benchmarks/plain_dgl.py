"""The pretrained GAT as one writes it on DGL: ``dgl.graph``, ``dgl.batch``, ``update_all``; with random weights.

:mod:`benchmarks.teachers` compares molmv with it.
"""

import os
from collections.abc import Callable, Sequence

os.environ.setdefault("DGLBACKEND", "pytorch")

import dgl
import dgl.function as fn
import numpy as np
import torch
from dgl.nn.functional import edge_softmax
from plain_pyg import DIM, HEADS, LAYERS, graph
from torch import nn


def molecule(smiles: str) -> dgl.DGLGraph:
    data = graph(smiles)
    built = dgl.graph((data.edge_index[0], data.edge_index[1]), num_nodes=len(data.x))
    built.ndata["x"], built.edata["e"] = data.x, data.edge_attr
    built = dgl.add_self_loop(built)
    built.edata["e"][data.edge_index.shape[1] :] = torch.tensor([4, 0])
    return built


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(DIM, DIM * HEADS)
        self.bond_type, self.direction = nn.Embedding(6, DIM * HEADS), nn.Embedding(3, DIM * HEADS)
        self.att = nn.Parameter(torch.randn(1, HEADS, 2 * DIM) * 0.05)

    def forward(self, g: dgl.DGLGraph, h: torch.Tensor) -> torch.Tensor:
        bonds = g.edata["e"]
        g.ndata["h"] = self.linear(h).view(-1, HEADS, DIM)
        g.edata["b"] = (self.bond_type(bonds[:, 0]) + self.direction(bonds[:, 1])).view(-1, HEADS, DIM)
        g.apply_edges(fn.u_add_e("h", "b", "m"))
        g.apply_edges(lambda e: {"s": (torch.cat([e.dst["h"], e.data["m"]], dim=-1) * self.att).sum(-1)})
        a = edge_softmax(g, nn.functional.leaky_relu(g.edata["s"], 0.2))
        g.edata["m"] = g.edata["m"] * a[..., None]
        g.update_all(fn.copy_e("m", "m"), fn.sum("m", "h"))
        return g.ndata["h"].mean(1)


def embedder(batch_size: int) -> Callable[[Sequence[str]], np.ndarray]:
    torch.manual_seed(0)
    atoms, chirality = nn.Embedding(120, DIM), nn.Embedding(3, DIM)
    layers = nn.ModuleList(Conv() for _ in range(LAYERS))
    norms = nn.ModuleList(nn.BatchNorm1d(DIM) for _ in range(LAYERS)).eval()

    @torch.no_grad()
    def embed(smiles: Sequence[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(smiles), batch_size):
            g = dgl.batch([molecule(text) for text in smiles[start : start + batch_size]])
            h = atoms(g.ndata["x"][:, 0]) + chirality(g.ndata["x"][:, 1])
            for k, (layer, norm) in enumerate(zip(layers, norms, strict=True)):
                h = norm(layer(g, h))
                h = h.relu() if k < LAYERS - 1 else h
            g.ndata["h"] = h
            vectors.append(dgl.mean_nodes(g, "h").numpy())
        return np.concatenate(vectors)

    return embed

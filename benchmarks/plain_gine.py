"""The students of arXiv 2510.18680 as one writes them on PyTorch Geometric, from the paper's description.

GINE layers of one width, LayerNorm and ReLU between them, mean over atoms, one linear map; atoms are their element and
chirality, bonds their type. With random weights, which cost what trained ones cost. Stands in for the authors' code in
:mod:`benchmarks.speed`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from rdkit import Chem
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, global_mean_pool


def graph(smiles: str) -> Data:
    mol = Chem.MolFromSmiles(smiles)
    x = [(atom.GetAtomicNum(), int(atom.GetChiralTag())) for atom in mol.GetAtoms()]
    ends, kinds = [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [(i, j), (j, i)]
        kinds += [int(bond.GetBondType())] * 2
    edges = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous()
    return Data(x=torch.tensor(x), edge_index=edges, edge_attr=torch.tensor(kinds, dtype=torch.long))


class PaperStudent(nn.Module):
    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.element, self.chirality = nn.Embedding(120, width), nn.Embedding(9, width)
        self.bond = nn.Embedding(25, width)
        self.convs = nn.ModuleList(GINEConv(self.mlp(width), edge_dim=width) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.readout = nn.Linear(width, width)

    @staticmethod
    def mlp(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, data: Data) -> torch.Tensor:
        h, bonds = self.element(data.x[:, 0]) + self.chirality(data.x[:, 1]), self.bond(data.edge_attr)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = norm(conv(h, data.edge_index, bonds)).relu()
        return self.readout(global_mean_pool(h, data.batch))


def embedder(layers: int, width: int, batch_size: int = 32) -> Callable[[Sequence[str]], np.ndarray]:
    network = PaperStudent(layers, width).eval()

    @torch.inference_mode()
    def embed(smiles: Sequence[str]) -> np.ndarray:
        loader = DataLoader([graph(text) for text in smiles], batch_size=batch_size)
        return torch.cat([network(batch) for batch in loader]).numpy()

    return embed

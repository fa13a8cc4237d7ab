"""A distillation as one writes it on PyTorch Geometric: a list of graphs, its loader, GINE layers, one head a teacher.

The mathematics of :mod:`molmv.distill`, and its weights if they are copied, without its arrangement: every atom is
computed, every bond is projected in every layer, every row's targets are one tensor of the data set.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, global_add_pool, global_max_pool, global_mean_pool

from molmv.graphs import Graphs, bond_fields
from molmv.loss import MajorityVoteLoss
from molmv.student.gine import TYPICAL_ATOMS, GineEncoder


def data_set(graphs: Graphs, rows: Sequence[int], targets: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> list:
    fields, found = torch.from_numpy(bond_fields()).long(), []
    for place, row in enumerate(rows):
        one = graphs.take([row])
        ends = torch.from_numpy(one.bonds).long().t()
        found.append(
            Data(
                x=torch.from_numpy(one.atoms).long(),
                edge_index=torch.cat([ends, ends.flip(0)], 1),
                edge_attr=fields[torch.from_numpy(one.bond_codes).long()].repeat(2, 1),
                y=torch.cat([values[place] for values in targets.values()])[None],
                present=torch.stack([mask[place] for mask in present.values()])[None],
            )
        )
    return found


def batches(found: list, orders: Iterator[Sequence[int]], size: int) -> Iterator[Data]:
    for order in orders:
        yield from DataLoader([found[i] for i in order], batch_size=size)


class PlainStudent(nn.Module):
    def __init__(self, of: GineEncoder) -> None:
        super().__init__()
        width = of.config.width
        copy = nn.Embedding.from_pretrained
        self.atoms = nn.ModuleList(copy(table.weight.detach().clone(), freeze=False) for table in of.atom_embeddings)
        self.bonds = nn.ModuleList(copy(table.weight.detach().clone(), freeze=False) for table in of.bond_embeddings)
        self.convs = nn.ModuleList()
        for layer in of.layers:
            inner = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
            )
            inner[0].in_features = width  # from which the layer below tells its width
            conv = GINEConv(inner, train_eps=True, edge_dim=width)  # it makes all of its weights anew
            inner[0].load_state_dict(layer.norm.state_dict())
            inner[1:].load_state_dict({str(int(k[0]) + 1) + k[1:]: v for k, v in layer.mlp.state_dict().items()})
            conv.lin.load_state_dict(layer.project_bonds.state_dict())
            self.convs.append(conv)
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(3 * width, of.config.embedding)
        self.norm.load_state_dict(of.norm.state_dict())
        self.readout.load_state_dict(of.readout.state_dict())

    def forward(self, data: Data) -> Tensor:
        h = sum(table(data.x[:, i]) for i, table in enumerate(self.atoms))
        bonds = sum(table(data.edge_attr[:, i]) for i, table in enumerate(self.bonds))
        for conv in self.convs:
            h = h + conv(h, data.edge_index, bonds)
        h = self.norm(h)
        pools = (global_mean_pool(h, data.batch), global_add_pool(h, data.batch) / TYPICAL_ATOMS)
        return self.readout(torch.cat([*pools, global_max_pool(h, data.batch)], 1))


class PlainHeads(nn.Module):
    def __init__(self, of: MajorityVoteLoss, noise: float) -> None:
        super().__init__()
        self.noise, self.dims, self.heads = noise, [spec.dim for spec in of.teachers.values()], nn.ModuleList()
        for name in of.teachers:
            head = of.head(name)
            pairs = list(zip(head.trunk.norms, head.trunk.linears, strict=True))
            blocks: list[nn.Module] = []
            for norm, linear in pairs:
                blocks += [
                    nn.LayerNorm(norm.normalized_shape),
                    nn.Linear(linear.in_features, linear.out_features),
                    nn.ReLU(),
                ]
            plain = nn.Sequential(*blocks, nn.Linear(head.readout.in_features, head.readout.out_features))
            theirs = [*(module for pair in pairs for module in pair), head.readout]
            for mine, part in zip([m for m in plain if not isinstance(m, nn.ReLU)], theirs, strict=True):
                mine.load_state_dict(part.state_dict())
            self.heads.append(plain)

    def forward(self, z: Tensor, y: Tensor, present: Tensor) -> Tensor:
        total = z.new_zeros(())
        for i, (head, target) in enumerate(zip(self.heads, y.split(self.dims, 1), strict=True)):
            mean, raw = head(z).chunk(2, dim=1)
            variance = self.noise**2 + (softplus(raw + math.log(math.e - 1)) + 0.01) ** 2
            squared = (target - mean) ** 2 + self.noise**2
            nll = 0.5 * math.log(2 * math.pi) + 0.5 * torch.log(variance) + squared / (2 * variance)
            total = total + nll.mean(1)[present[:, i]].mean()
        return total

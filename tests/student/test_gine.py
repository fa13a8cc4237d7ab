"""The encoder against torch-geometric's layers and poolings, and against plain loops."""

import numpy as np
import pytest
import torch
from torch import nn

from molmv import molecules
from molmv.errors import ConfigError
from molmv.graphs import NUM_BONDS, bond_fields, featurise
from molmv.student.gine import (
    TYPICAL_ATOMS,
    GineConfig,
    GineEncoder,
    GineLayer,
    GraphTensors,
    environment_tensors,
    graph_tensors,
    make_encoder,
)

WIDTH = 6
SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "", "C", "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "C/C=C/C", "bad", "C1CC1", ""]


def random_graph(seed: int, atoms: int, edges: int, graphs: int = 3) -> GraphTensors:
    """Any directed graph: self-loops, repeated edges and lonely atoms included."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, count: int) -> torch.Tensor:
        return torch.randint(max(high, 1), (count,), generator=generator)

    target, owner = draw(atoms, edges).sort().values, draw(graphs, atoms).sort().values
    fields = draw(2, atoms * 8).reshape(atoms, 8)
    return GraphTensors(fields, draw(atoms, edges), target, draw(NUM_BONDS, edges), owner, graphs)


def molecule_graphs() -> GraphTensors:
    graphs = featurise(molecules.screen(SMILES))
    return graph_tensors(graphs.batch(np.arange(len(SMILES))))


def oracle_layer(layer: GineLayer) -> nn.Module:
    """torch-geometric's layer with the same weights, and nothing after the sum."""
    from torch_geometric.nn import GINEConv

    width = layer.project_bonds.in_features
    conv = GINEConv(nn.Linear(width, width, bias=False), eps=layer.epsilon.item(), train_eps=True, edge_dim=width)
    nn.init.eye_(conv.nn.weight)
    conv.lin.load_state_dict(layer.project_bonds.state_dict())
    return conv


def fresh(**sizes) -> GineEncoder:
    torch.manual_seed(1)
    encoder = make_encoder({"layers": 2, "width": WIDTH, "embedding": 5, **sizes})
    for layer in encoder.layers:
        nn.init.normal_(layer.epsilon)
    return encoder.eval()


@pytest.mark.parametrize(("atoms", "edges"), [(1, 0), (1, 4), (7, 0), (9, 30), (40, 100)])
@pytest.mark.parametrize("seed", range(3))
def test_aggregate_is_that_of_torch_geometric(atoms: int, edges: int, seed: int):
    graph = random_graph(seed, atoms, edges)
    torch.manual_seed(seed)
    layer = GineLayer(WIDTH, 2)
    nn.init.normal_(layer.epsilon)
    h, bonds = torch.randn(atoms, WIDTH), torch.randn(NUM_BONDS, WIDTH)
    expected = oracle_layer(layer)(h, torch.stack([graph.source, graph.target]), bonds[graph.bond_codes])
    torch.testing.assert_close(layer.exchange(h, bonds, graph)[1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("readout", ["last", "all"])
def test_encoder_is_that_of_torch_geometric(readout: str):
    from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

    encoder, graph = fresh(readout=readout), molecule_graphs()
    h = sum(table(graph.atoms[:, k]) for k, table in enumerate(encoder.atom_embeddings))
    fields = torch.from_numpy(bond_fields()).long()[graph.bond_codes]
    edges = sum(table(fields[:, k]) for k, table in enumerate(encoder.bond_embeddings))
    depths = [h]
    for layer in encoder.layers:
        h = h + layer.mlp(layer.norm(oracle_layer(layer)(h, torch.stack([graph.source, graph.target]), edges)))
        depths.append(h)
    atoms = encoder.norm(torch.cat(depths, 1) if readout == "all" else h)
    pools = global_mean_pool, global_add_pool, global_max_pool
    mean, total, highest = (pool(atoms, graph.graph, graph.num_graphs) for pool in pools)
    expected = encoder.readout(torch.cat([mean, total / TYPICAL_ATOMS, highest], 1))
    torch.testing.assert_close(encoder(graph), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", [("mean",), ("sum",), ("max",), ("max", "sum", "mean")])
@pytest.mark.parametrize("graph", [random_graph(0, 12, 20, 6), random_graph(1, 1, 0, 1), random_graph(2, 0, 0, 3)])
def test_pooling_is_a_plain_loop(pooling: tuple[str, ...], graph: GraphTensors):
    encoder = fresh(pooling=list(pooling), embedding=WIDTH * len(pooling))
    nn.init.eye_(encoder.readout.weight)
    nn.init.zeros_(encoder.readout.bias)
    seen: list[torch.Tensor] = []
    encoder.norm.register_forward_hook(lambda module, args, output: seen.append(output))
    found = encoder(graph)
    for g in range(graph.num_graphs):
        atoms = [atom for atom, owner in zip(seen[0], graph.graph.tolist(), strict=True) if owner == g]
        pooled = {"mean": torch.zeros(WIDTH), "sum": torch.zeros(WIDTH), "max": torch.zeros(WIDTH)}
        if atoms:
            pooled["sum"] = sum(atoms) / TYPICAL_ATOMS
            pooled["mean"] = sum(atoms) / len(atoms)
            pooled["max"] = torch.stack(atoms).max(0).values
        torch.testing.assert_close(found[g], torch.cat([pooled[kind] for kind in pooling]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("multiple", [1, 64])
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_environments_give_the_same_embeddings_and_gradients(layers: int, readout: str, multiple: int):
    # Without "max": where two atoms tie, rounding decides which of them the gradient goes to.
    encoder = fresh(layers=layers, readout=readout, pooling=("mean", "sum"))
    graphs = featurise(molecules.screen([*SMILES, *SMILES]))
    shared = environment_tensors(graphs, layers, multiple)
    assert all(len(one.centre) % multiple == 0 for one in shared.rounds)
    plain = graph_tensors(graphs.batch(np.arange(len(graphs))))
    assert len(shared.atoms) < len(plain.atoms) / 2
    found = []
    for batch in (plain, shared):
        encoder.zero_grad()
        z = encoder(batch)
        (z * torch.linspace(-1, 1, z.numel()).reshape(z.shape)).sum().backward()
        found.append([z, *(p.grad for p in encoder.parameters())])
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_molecules_of_a_batch_do_not_see_each_other():
    encoder = fresh()
    graphs = featurise(molecules.screen(SMILES))
    alone = [encoder(environment_tensors(graphs.take(np.array([i])), 2)) for i in range(len(SMILES))]
    torch.testing.assert_close(encoder(environment_tensors(graphs, 2)), torch.cat(alone))


def test_graph_without_atoms_is_the_bias():
    encoder = fresh()
    found = encoder(molecule_graphs())
    for row in (1, 6, 8):
        torch.testing.assert_close(found[row], encoder.readout.bias)


@pytest.mark.parametrize("graph", [molecule_graphs(), random_graph(2, 0, 0, 3), random_graph(0, 3, 0)])
def test_gradients_are_finite(graph: GraphTensors):
    """Also where atoms tie for the maximum, and where a graph has none."""
    encoder = fresh(readout="all")
    encoder(graph).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_bfloat16_is_close():
    encoder, graph = fresh(width=32), molecule_graphs()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(graph)
    torch.testing.assert_close(found.float(), encoder(graph), rtol=0.05, atol=0.1)


def test_names_of_the_parameters_stay():
    """Released checkpoints are read by these names."""
    layer = {"epsilon", "project_bonds", "norm", "mlp.0", "mlp.2"}
    found = {name.removesuffix(".weight").removesuffix(".bias") for name in fresh(layers=1).state_dict()}
    tables = {f"atom_embeddings.{k}" for k in range(8)} | {f"bond_embeddings.{k}" for k in range(4)}
    assert found == {f"layers.0.{name}" for name in layer} | tables | {"norm", "readout"}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 0}, r"student\.layers.*above 0, got 0"),
        ({"width": -1}, r"student\.width"),
        ({"width": 2.0}, r"student\.width.*2\.0"),
        ({"embedding": "512"}, r"student\.embedding.*'512'"),
        ({"expansion": True}, r"student\.expansion.*True"),
        ({"pooling": []}, r"student\.pooling"),
        ({"pooling": ["mean", "median"]}, r"student\.pooling.*median"),
        ({"pooling": ["mean", "mean"]}, r"student\.pooling"),
        ({"pooling": "mean"}, r"student\.pooling"),
        ({"pooling": [["mean"]]}, r"student\.pooling"),
        ({"readout": "first"}, r"student\.readout.*'first'"),
        ({"with": 3}, "unknown key 'with'. Did you mean 'width'"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        make_encoder(sizes)


def test_default_sizes_are_possible():
    assert GineConfig().pooling == ("mean", "sum", "max")

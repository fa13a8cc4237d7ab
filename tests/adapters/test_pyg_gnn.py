"""The PyTorch Geometric networks against the same formulae written densely in numpy, and against their own weights."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem

from molmv.cards import load_card
from molmv.errors import CardError, WeightsError
from molmv.testing.adapter import AdapterSuite

pytest.importorskip("torch_geometric", reason="the extra pyg is not installed")
pyg_gnn = pytest.importorskip("molmv.adapters.pyg_gnn")

CARDS = [f"pretrain-gnn-{a}-{p}contextpred" for p in ("", "supervised-") for a in ("gcn", "graphsage", "gat")]
# Elements, charges, aromatic and triple bonds, both chiralities, both bond directions, no bonds, several fragments.
MOLECULES = """
C O [H][H] [Na+].[Cl-] CC C=C C#N c1ccccc1 C1CC1 CC(C)(C)C CC(=O)Oc1ccccc1C(=O)O CN1C=NC2=C1C(=O)N(C)C(=O)N2C
N[C@@H](C)C(=O)O N[C@H](C)C(=O)O C[C@H](O)[C@@H](N)C(=O)O C/C=C/C C/C=C\\C F/C(Cl)=C(/Br)I C/C=N/O
FS(F)(F)(F)(F)F OB(O)c1ccccc1 C[Si](C)(C)C c1ccsc1 C[N+](C)(C)C O=[N+]([O-])c1ccccc1 CP(=O)(O)O [Og] [2H]C([2H])[2H]
C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O CN1CCC[C@H]1c1cccnc1 O.O.O CC#CC
""".split()


@pytest.fixture(scope="module", autouse=True)
def gnn(shared_data: Path) -> Path:
    folder = shared_data / "gnn"
    if not folder.is_dir():
        pytest.skip(f"no weights in {folder}")
    return folder


class PygGnnSuite(AdapterSuite):
    packages = ("torch_geometric.utils",)


class TestGcn(PygGnnSuite):
    teacher_name = "pretrain-gnn-gcn-contextpred"


class TestGraphSage(PygGnnSuite):
    teacher_name = "pretrain-gnn-graphsage-contextpred"


class TestGat(PygGnnSuite):
    teacher_name = "pretrain-gnn-gat-supervised-contextpred"


def dense(card: Any, smiles: str, weights: dict[str, np.ndarray], pool: Callable[..., np.ndarray]) -> np.ndarray:
    """One molecule by matrices of all pairs of atoms: no edge list, no scatter, another way to read RDKit."""
    mol, depth = Chem.MolFromSmiles(smiles), card.options["layer"]
    n = mol.GetNumAtoms()
    h = np.stack(
        [
            weights["x_embedding1.weight"][a.GetAtomicNum() - 1] + weights["x_embedding2.weight"][int(a.GetChiralTag())]
            for a in mol.GetAtoms()
        ]
    )
    kind, direction, linked = 4 * np.eye(n, dtype=int), np.zeros((n, n), dtype=int), np.eye(n)
    for bond in mol.GetBonds():
        for i, j in ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), (bond.GetEndAtomIdx(), bond.GetBeginAtomIdx())):
            kind[i, j] = [1, 2, 3, 1.5].index(bond.GetBondTypeAsDouble())
            direction[i, j] = [0, 4, 3].index(int(bond.GetBondDir()))
            linked[i, j] = 1
    for k in range(depth):
        w = {key.removeprefix(f"gnns.{k}."): value for key, value in weights.items() if key.startswith(f"gnns.{k}.")}
        bond_vectors = w["edge_embedding1.weight"][kind] + w["edge_embedding2.weight"][direction]
        h = LAYER[card.options["architecture"]](h, linked, bond_vectors, w)
        norm = {p: weights[f"batch_norms.{k}.{p}"] for p in ("weight", "bias", "running_mean", "running_var")}
        h = (h - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
        if k < 4:
            h = np.maximum(h, 0)
    return pool(h, axis=0)


def dense_gcn(h: np.ndarray, linked: np.ndarray, bonds: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    degree = linked.sum(1)
    share = linked / np.sqrt(np.outer(degree, degree))
    return np.einsum("ij,ijd->id", share, (h @ w["linear.weight"].T + w["linear.bias"])[None] + bonds)


def dense_sage(h: np.ndarray, linked: np.ndarray, bonds: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    share = linked / linked.sum(1, keepdims=True)
    mean = np.einsum("ij,ijd->id", share, (h @ w["linear.weight"].T + w["linear.bias"])[None] + bonds)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def dense_gat(h: np.ndarray, linked: np.ndarray, bonds: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    wh, heads = h @ w["weight_linear.weight"].T + w["weight_linear.bias"], []
    for head, columns in enumerate((slice(300), slice(300, 600))):
        own = np.repeat(wh[:, None, columns], len(h), axis=1)
        message = wh[None, :, columns] + bonds[:, :, columns]
        score = np.concatenate([own, message], axis=2) @ w["att"][0, head]
        score = np.where(linked > 0, np.where(score > 0, score, 0.2 * score), -np.inf)
        share = np.exp(score - score.max(1, keepdims=True))
        heads.append(np.einsum("ij,ijd->id", share / share.sum(1, keepdims=True), message))
    return (heads[0] + heads[1]) / 2 + w["bias"]


LAYER = {"gcn": dense_gcn, "graphsage": dense_sage, "gat": dense_gat}


def weights_of(card: Any, gnn: Path) -> dict[str, np.ndarray]:
    loaded = torch.load(gnn / card.weights.source.rpartition("/")[2], weights_only=True, map_location="cpu")
    return {key: value.double().numpy() for key, value in loaded.items()}


def check_against_dense(card: Any, gnn: Path, pool: Callable[..., np.ndarray] = np.mean) -> None:
    """Equal but for rounding, which is relative to a vector's largest entry; float64 leaves it nowhere to hide."""
    weights = weights_of(card, gnn)
    expected = np.stack([dense(card, smiles, weights, pool) for smiles in MOLECULES])
    adapter = pyg_gnn.PygGnn(card)
    largest = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(adapter.embed_batch(MOLECULES) / largest, expected / largest, rtol=0, atol=1e-4)
    adapter._network.double()
    np.testing.assert_allclose(adapter.embed_batch(MOLECULES), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CARDS)
def test_equal_to_the_dense_formulae(name: str, gnn: Path) -> None:
    check_against_dense(load_card(name), gnn)


@pytest.mark.parametrize(("layer", "pooling", "pool"), [(1, "sum", np.sum), (4, "max", np.max), (3, "mean", np.mean)])
def test_layer_and_pooling(layer: int, pooling: str, pool: Callable[..., np.ndarray], gnn: Path) -> None:
    card = load_card("pretrain-gnn-gcn-contextpred")
    check_against_dense(replace(card, options={**card.options, "layer": layer, "pooling": pooling}), gnn, pool)


@pytest.mark.parametrize("name", CARDS[:5])  # not gat-supervised: see its card
def test_the_weights_recognise_the_layers(name: str, library: Path) -> None:
    """Batch norm remembers the mean and variance that the authors' own first layer had in training, on other molecules.

    A wrong vocabulary, degree or direction of the attention would show here; the dense formulae could share the fault.
    """
    with library.open(newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)][:300]
    graph = pyg_gnn.join([found for found in map(pyg_gnn.featurise, smiles) if found is not None])
    network, seen = pyg_gnn.PygGnn(load_card(name))._network, []
    network.batch_norms[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(*map(torch.from_numpy, (graph.atoms, graph.ends, graph.bonds)), 1)
    norm, rows = network.batch_norms[0], seen[0]
    assert np.corrcoef(rows.mean(0), norm.running_mean)[0, 1] > 0.98
    assert np.corrcoef(rows.var(0).log(), norm.running_var.log())[0, 1] > 0.97


@pytest.mark.parametrize("smiles", ["*C", "[NH3]->[Cu+2]", "C[Pt@SP1](F)(Cl)Br", "not a molecule", ""])
def test_what_has_no_row_in_the_tables_is_nan(smiles: str) -> None:
    adapter = pyg_gnn.PygGnn(load_card(CARDS[0]))
    found = adapter.embed_batch(["CCO", smiles, "CCN"])
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], adapter.embed_batch(["CCO", "CCN"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"layer": 0}, {"layer": 6}, {"pooling": "attention"}, {"architecture": "gin"}, {"heads": 2}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    card = load_card(CARDS[0])
    with pytest.raises(CardError, match=f"option {next(iter(options))}: expected .* found"):
        pyg_gnn.PygGnn(replace(card, options={**card.options, **options}))


def test_weights_of_another_network_are_refused() -> None:
    card = load_card(CARDS[0])
    with pytest.raises(WeightsError, match=r"gcn_contextpred.pth does not hold the weights of a gat: .*gnns.0.att"):
        pyg_gnn.PygGnn(replace(card, options={"architecture": "gat"}))

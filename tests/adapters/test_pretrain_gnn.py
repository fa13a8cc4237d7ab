"""The networks, on both libraries, against the same formulae written densely in numpy and against their own weights."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem

from molmv.adapters import pretrain_gnn
from molmv.adapters.pretrain_gnn_features import featurise
from molmv.cards import TeacherCard, Weights, load_card
from molmv.errors import CardError, WeightsError

CARDS = [f"pretrain-gnn-{a}-{p}contextpred" for p in ("", "supervised-") for a in ("gcn", "graphsage", "gat")]
LIBRARIES = {"pyg": ("torch_geometric", "pyg_gnn", "PygGnn"), "dgl": ("dgl", "dgl_gnn", "DglGnn")}
# Elements, charges, aromatic and triple bonds, both chiralities, both bond directions, no bonds, several fragments.
MOLECULES = """
C O [H][H] [Na+].[Cl-] CC C=C C#N c1ccccc1 C1CC1 CC(C)(C)C CC(=O)Oc1ccccc1C(=O)O CN1C=NC2=C1C(=O)N(C)C(=O)N2C
N[C@@H](C)C(=O)O N[C@H](C)C(=O)O C[C@H](O)[C@@H](N)C(=O)O C/C=C/C C/C=C\\C F/C(Cl)=C(/Br)I C/C=N/O
FS(F)(F)(F)(F)F OB(O)c1ccccc1 C[Si](C)(C)C c1ccsc1 C[N+](C)(C)C O=[N+]([O-])c1ccccc1 CP(=O)(O)O [Og] [2H]C([2H])[2H]
C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O CN1CCC[C@H]1c1cccnc1 O.O.O CC#CC
""".split()


@pytest.fixture(params=LIBRARIES)
def adapter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[pretrain_gnn.PretrainGnn]:
    """The class of one of the two families."""
    package, module, name = LIBRARIES[request.param]
    monkeypatch.setenv("DGLBACKEND", "pytorch")  # else its import writes to the home of whoever runs this
    pytest.importorskip(package, reason=f"the extra {request.param} is not installed")
    return getattr(import_module(f"molmv.adapters.{module}"), name)


@pytest.fixture(scope="module")
def gnn(shared_data: Path) -> Path:
    folder = shared_data / "gnn"
    if not folder.is_dir():
        pytest.skip(f"no weights in {folder}")
    return folder


# Random weights of a GIN, as the two projects name and shape them.
GIN = {"x_embedding1.weight": (120, 300), "x_embedding2.weight": (3, 300)}
LIFESCI = {"node_embeddings.0.weight": (120, 300), "node_embeddings.1.weight": (3, 300)}
for i in range(5):
    of_mlp = {"mlp.0.weight": (600, 300), "mlp.0.bias": (600,), "mlp.2.weight": (300, 600), "mlp.2.bias": (300,)}
    of_norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (300,)) | {"num_batches_tracked": ()}
    GIN |= {f"gnns.{i}.{key}": shape for key, shape in of_mlp.items()}
    GIN |= {f"gnns.{i}.edge_embedding1.weight": (6, 300), f"gnns.{i}.edge_embedding2.weight": (3, 300)}
    GIN |= {f"batch_norms.{i}.{key}": shape for key, shape in of_norm.items()}
    LIFESCI |= {f"gnn_layers.{i}.{key}": shape for key, shape in of_mlp.items()}
    LIFESCI |= {
        f"gnn_layers.{i}.edge_embeddings.0.weight": (6, 300),
        f"gnn_layers.{i}.edge_embeddings.1.weight": (3, 300),
    }
    LIFESCI |= {f"gnn_layers.{i}.bn.{key}": shape for key, shape in of_norm.items()}
LAYOUTS = {"Hu et al.": GIN, "DGL-LifeSci": LIFESCI}


def random_weights(layout: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """The same numbers for both layouts, whose tensors stand in the same order."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, shape in layout.items():
        values = torch.randn(shape, generator=generator) / (shape[-1] ** 0.5 if len(shape) > 1 else 1)
        weights[key] = values.abs() + 0.5 if key.endswith("running_var") else values
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.tensor(7)
    return weights


@pytest.fixture
def gin_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], TeacherCard]:
    """A card for some weights, which are saved where the card looks for them."""

    def make(weights: Any) -> TeacherCard:
        torch.save(weights, tmp_path / "gin.pth")
        monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
        digest = hashlib.sha256((tmp_path / "gin.pth").read_bytes()).hexdigest()
        where = Weights(source="https://nowhere.invalid/gin.pth", sha256=digest)
        return replace(load_card(CARDS[0]), name="gin", weights=where, options={"architecture": "gin", "layer": 5})

    return make


def dense(
    options: dict[str, Any], smiles: str, weights: dict[str, np.ndarray], pool: Callable[..., np.ndarray]
) -> np.ndarray:
    """One molecule by matrices of all pairs of atoms: no edge list, no scatter, another way to read RDKit."""
    mol, depth = Chem.MolFromSmiles(smiles), options["layer"]
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
        h = LAYER[options["architecture"]](h, linked, bond_vectors, w)
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


def dense_gin(h: np.ndarray, linked: np.ndarray, bonds: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    total = np.einsum("ij,ijd->id", linked, h[None] + bonds)
    return np.maximum(total @ w["mlp.0.weight"].T + w["mlp.0.bias"], 0) @ w["mlp.2.weight"].T + w["mlp.2.bias"]


LAYER = {"gcn": dense_gcn, "graphsage": dense_sage, "gat": dense_gat, "gin": dense_gin}


def check_against_dense(
    adapter: Callable[[TeacherCard], Any],
    card: TeacherCard,
    weights: dict[str, torch.Tensor],
    pool: Callable[..., np.ndarray] = np.mean,
) -> None:
    """Equal but for rounding, which is relative to a vector's largest entry; float64 leaves it nowhere to hide."""
    exact = {key: value.double().numpy() for key, value in weights.items()}
    expected = np.stack([dense(card.options, smiles, exact, pool) for smiles in MOLECULES])
    teacher = adapter(card)
    largest = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(teacher.embed_batch(MOLECULES) / largest, expected / largest, rtol=0, atol=1e-4)
    teacher._network.double()
    np.testing.assert_allclose(teacher.embed_batch(MOLECULES), expected, rtol=1e-6, atol=1e-6)


def published(card: TeacherCard, gnn: Path) -> dict[str, torch.Tensor]:
    return torch.load(gnn / card.weights.source.rpartition("/")[2], weights_only=True, map_location="cpu")


@pytest.mark.parametrize("name", CARDS)
def test_equal_to_the_dense_formulae(name: str, adapter: Any, gnn: Path) -> None:
    check_against_dense(adapter, load_card(name), published(load_card(name), gnn))


@pytest.mark.parametrize(("layer", "pooling", "pool"), [(1, "sum", np.sum), (4, "max", np.max), (3, "mean", np.mean)])
def test_layer_and_pooling(layer: int, pooling: str, pool: Callable[..., np.ndarray], adapter: Any, gnn: Path) -> None:
    card = load_card("pretrain-gnn-gcn-contextpred")
    here = replace(card, options={**card.options, "layer": layer, "pooling": pooling})
    check_against_dense(adapter, here, published(card, gnn), pool)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gin_of_either_project_is_equal_to_the_dense_formula(layout: str, adapter: Any, gin_card: Any) -> None:
    check_against_dense(adapter, gin_card(random_weights(LAYOUTS[layout])), random_weights(GIN))


def test_gin_in_a_checkpoint_of_dgl_lifesci(adapter: Any, gin_card: Any) -> None:
    check_against_dense(adapter, gin_card({"model_state_dict": random_weights(LIFESCI)}), random_weights(GIN))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_and_an_extra_tensor_are_named(layout: str, adapter: Any, gin_card: Any) -> None:
    for key in [key for key in LAYOUTS[layout] if ".3." in key][::4]:
        weights = random_weights(LAYOUTS[layout])
        weights[f"{key}.more"] = weights.pop(key)
        with pytest.raises(WeightsError, match=r"gin\.pth does not hold the weights of a gin") as caught:
            adapter(gin_card(weights))
        assert f": lacks {key}; has {key}.more besides" in caught.value.message


@pytest.mark.parametrize("content", [{"x_embedding1.weight": torch.zeros(1)}, [1, 2], "nothing"])
def test_files_of_something_else_are_refused(content: Any, adapter: Any, gin_card: Any) -> None:
    with pytest.raises(WeightsError, match=r"gin\.pth does not hold the weights of a gin: .+"):
        adapter(gin_card(content))


def test_a_tensor_of_another_shape_is_named(adapter: Any, gin_card: Any) -> None:
    weights = random_weights(GIN) | {"gnns.2.mlp.0.bias": torch.zeros(300)}
    with pytest.raises(WeightsError, match=r"gnns\.2\.mlp\.0\.bias.*\[300\].*\[600\]"):
        adapter(gin_card(weights))


def test_weights_of_another_network_are_refused(adapter: Any, gnn: Path) -> None:
    card = load_card(CARDS[0])
    with pytest.raises(WeightsError, match=r"gcn_contextpred.pth does not hold the weights of a gat: .*gnns.0.att"):
        adapter(replace(card, options={"architecture": "gat"}))


@pytest.mark.parametrize("name", CARDS[:5])  # not gat-supervised: see its card
def test_the_weights_recognise_the_layers(name: str, adapter: Any, gnn: Path, library: Path) -> None:
    """Batch norm remembers the mean and variance that the authors' own first layer had in training, on other molecules.

    A wrong vocabulary, degree or direction of the attention would show here; the dense formulae could share the fault.
    """
    with library.open(newline="") as file:
        graph, _ = featurise([row["smiles"] for row in csv.DictReader(file)][:300])
    teacher, seen = adapter(load_card(name)), []
    norm = teacher._network.batch_norms[0]
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        teacher._network(torch.from_numpy(graph.atoms), torch.from_numpy(graph.bonds), teacher.passing(graph), 1)
    assert np.corrcoef(seen[0].mean(0), norm.running_mean)[0, 1] > 0.98
    assert np.corrcoef(seen[0].var(0).log(), norm.running_var.log())[0, 1] > 0.97


@pytest.mark.parametrize("smiles", ["*C", "[NH3]->[Cu+2]", "C[Pt@SP1](F)(Cl)Br", "not a molecule", ""])
def test_what_has_no_row_in_the_tables_is_nan(smiles: str, adapter: Any, gin_card: Any) -> None:
    teacher = adapter(gin_card(random_weights(GIN)))
    found = teacher.embed_batch(["CCO", smiles, "CCN"])
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], teacher.embed_batch(["CCO", "CCN"]), rtol=1e-4, atol=1e-4)
    assert np.isnan(teacher.embed_batch([smiles])).all()


@pytest.mark.parametrize(
    "options", [{"layer": 0}, {"layer": 6}, {"pooling": "attention"}, {"architecture": "gine"}, {"heads": 2}]
)
def test_impossible_options_are_refused(options: dict[str, Any], adapter: Any) -> None:
    card = load_card(CARDS[0])
    with pytest.raises(CardError, match=f"option {next(iter(options))}: expected .* found"):
        adapter(replace(card, options={**card.options, **options}))

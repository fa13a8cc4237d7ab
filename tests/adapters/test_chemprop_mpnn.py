"""Chemprop's networks, made, saved and read again by chemprop itself."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from chemprop_networks import card, network, save
from torch import nn as torch_nn

from molmv.cards import load_card
from molmv.errors import CardError
from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite, embed

pytestmark = pytest.mark.filterwarnings("ignore")
if importlib.util.find_spec("chemprop") is None:
    pytest.skip("the extra chemprop is not installed", allow_module_level=True)

# Elements, charges, stereo, no bonds, fragments, and bonds that cuik-molmaker and chemprop see differently.
MOLECULES = """
C O [Na+].[Cl-] CC(=O)Oc1ccccc1C(=O)O CN1C=NC2=C1C(=O)N(C)C(=O)N2C C[C@H](N)C(=O)O C[C@@H](N)C(=O)O F/C(Cl)=C(/Br)I
FS(F)(F)(F)(F)F [Og] [2H]C([2H])[2H] O=[N+]([O-])c1ccccc1 CC#CC OB(O)c1ccccc1 N->[Cu+2] *C C~C O.O.O
""".split()


@pytest.fixture(scope="session", autouse=True)
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chemprop")


def by_chemprop(path: Path, smiles: Sequence[str], layer: int = 0, features: str = "V2", add_h: bool = False) -> Any:
    """What chemprop says of a file: its own loading, featuriser, batches and encoding."""
    from chemprop import data, featurizers
    from chemprop.featurizers.bond import MultiHotBondFeaturizer, RIGRBondFeaturizer
    from chemprop.models import MPNN

    load = MPNN.load_from_checkpoint if path.suffix == ".ckpt" else MPNN.load_from_file
    model = load(path, map_location="cpu").eval()
    bonds = RIGRBondFeaturizer() if features == "RIGR" else MultiHotBondFeaturizer()
    featurise = featurizers.SimpleMoleculeMolGraphFeaturizer(featurizers.get_multi_hot_atom_featurizer(features), bonds)
    points = [data.MoleculeDatapoint.from_smi(text, add_h=add_h) for text in smiles]
    loader = data.build_dataloader(data.MoleculeDataset(points, featurise), batch_size=64, shuffle=False)
    with torch.inference_mode():
        return torch.cat([model.encoding(batch.bmg, i=layer) for batch in loader]).numpy()


class ChempropSuite(AdapterSuite):
    packages = ("chemprop",)
    options: ClassVar[str] = ""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def files(cls, cards: Path) -> None:
        folder = cards / cls.__name__
        folder.mkdir(exist_ok=True)
        cls.teacher_name = card(folder, cls.make(folder), cls.options)

    @classmethod
    def make(cls, folder: Path) -> list[str]:
        return [save(folder, network())]


class TestOneNetwork(ChempropSuite):
    pass


class TestEnsembleOfHiddenLayers(ChempropSuite):
    options = "layer = -1"

    @classmethod
    def make(cls, folder: Path) -> list[str]:
        other = network("AtomMessagePassing", widths=(44, 14), d_h=8, norm=False)
        return [save(folder, network()), save(folder, other, "other.pt")]


class TestBareBlock(ChempropSuite):
    """The layout of CheMeleon's file."""

    @classmethod
    def make(cls, folder: Path) -> list[str]:
        block = network(depth=6).message_passing
        settings = {"d_v": 72, "d_e": 14, "d_h": 24, "depth": 6, "activation": "relu", "bias": False}
        torch.save({"hyper_parameters": settings, "state_dict": block.state_dict()}, folder / "bare.pt")
        return ["bare.pt"]

    def test_it_is_averaged_over_the_atoms(self, teacher: Any) -> None:
        from chemprop import models, nn

        model = models.MPNN(network(depth=6).message_passing, nn.MeanAggregation(), nn.RegressionFFN(input_dim=24))
        folder = Path(self.teacher_name).parent
        expected = by_chemprop(folder / save(folder, model, "whole.pt"), MOLECULES)
        np.testing.assert_allclose(teacher.adapter.embed_batch(MOLECULES), expected, rtol=1e-5, atol=1e-6)


def attentive() -> Any:
    from chemprop import nn

    return nn.AttentiveAggregation(output_size=24)


NETWORKS: dict[str, Callable[[], Any]] = {
    "bonds": lambda: network(),
    "atoms": lambda: network("AtomMessagePassing"),
    "undirected": lambda: network(undirected=True, bias=True, dropout=0.5),
    "undirected atoms": lambda: network("AtomMessagePassing", undirected=True, depth=5),
    "one step": lambda: network(depth=1),
    "a module as activation": lambda: network(activation=torch_nn.PReLU(init=0.3)),
    "leaky": lambda: network(activation="leakyrelu", norm=False),
    "attention": lambda: network(agg=attentive()),
    "many classes": lambda: network(predictor="MulticlassClassificationFFN", ffn={"n_classes": 3, "n_tasks": 2}),
}


@pytest.mark.parametrize("layer", [0, 1, -1])
@pytest.mark.parametrize("kind", NETWORKS)
def test_equal_to_chemprop(kind: str, layer: int, tmp_path: Path) -> None:
    file = save(tmp_path, NETWORKS[kind]())
    teacher = load_teacher(card(tmp_path, [file], f"layer = {layer}"), device="cpu")
    expected = by_chemprop(tmp_path / file, MOLECULES, layer)
    np.testing.assert_allclose(teacher.adapter.embed_batch(MOLECULES), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("add_h", [False, True])
@pytest.mark.parametrize(
    ("features", "widths"), [("V1", (133, 14)), ("V2", (72, 14)), ("ORGANIC", (44, 14)), ("RIGR", (52, 2))]
)
def test_the_widths_tell_the_featuriser(features: str, widths: tuple[int, int], add_h: bool, tmp_path: Path) -> None:
    file = save(tmp_path, network(widths=widths))
    teacher = load_teacher(card(tmp_path, [file], f"add_h = {str(add_h).lower()}"), device="cpu")
    expected = by_chemprop(tmp_path / file, MOLECULES, 0, features, add_h)
    np.testing.assert_allclose(teacher.adapter.embed_batch(MOLECULES), expected, rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_its_members_side_by_side(tmp_path: Path) -> None:
    files = [save(tmp_path, network(), "a.pt"), save(tmp_path, network("AtomMessagePassing", d_h=8), "b.pt")]
    found = load_teacher(card(tmp_path, files), device="cpu").adapter.embed_batch(MOLECULES)
    expected = np.concatenate([by_chemprop(tmp_path / file, MOLECULES) for file in files], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_trained_checkpoint_of_lightning(tmp_path: Path) -> None:
    from chemprop import data, nn
    from lightning import pytorch as lightning

    model = network(metrics=[nn.metrics.RMSE(), nn.metrics.R2Score(1)], predictor="MveFFN")
    points = [data.MoleculeDatapoint.from_smi(text, y=np.array([float(i)])) for i, text in enumerate(MOLECULES[:8])]
    trainer = lightning.Trainer(
        max_epochs=1, logger=False, default_root_dir=tmp_path, accelerator="cpu", enable_progress_bar=False
    )
    trainer.fit(model, data.build_dataloader(data.MoleculeDataset(points), batch_size=4))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    save(tmp_path, model.eval())
    for file in ("model.ckpt", "model.pt"):
        teacher = load_teacher(card(tmp_path, [file], "layer = 1"), device="cpu")
        expected = by_chemprop(tmp_path / file, MOLECULES, 1)
        np.testing.assert_allclose(teacher.adapter.embed_batch(MOLECULES), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("layer = 3", "expected -3 to 2, found 3"),
        ("layer = -4", "expected -3 to 2, found -4"),
        ("layer = true", "expected int, found True"),
        ('add_h = "no"', "expected bool, found 'no'"),
        ("depth = 3", "expected options layer and add_h, found depth"),
    ],
)
def test_impossible_options_are_refused(options: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CardError, match=f"Teacher 'mine': .*{message}"):
        load_teacher(card(tmp_path, [save(tmp_path, network())], options), device="cpu")


def test_a_bare_block_has_no_layers(tmp_path: Path) -> None:
    torch.save({"hyper_parameters": {}, "state_dict": network(d_h=300).message_passing.state_dict()}, tmp_path / "b.pt")
    with pytest.raises(CardError, match="option layer: it has no predictor, found 1"):
        load_teacher(card(tmp_path, ["b.pt"], "layer = 1"), device="cpu")
    assert load_teacher(card(tmp_path, ["b.pt"]), device="cpu").dim == 300


def test_a_text_that_is_no_molecule_costs_its_row_only(tmp_path: Path) -> None:
    teacher = load_teacher(card(tmp_path, [save(tmp_path, network())]), device="cpu")
    with pytest.raises(ValueError, match="no molecule"):
        teacher.adapter.embed_batch(["CCO", "C(", "CCN"])
    assert np.isfinite(embed(teacher, ["CCO", "CC(", "CCN"])).all(axis=1).tolist() == [True, False, True]


def test_loading_says_nothing(tmp_path: Path) -> None:
    code = f"from molmv.models import load_teacher; load_teacher({card(tmp_path, [save(tmp_path, network())])!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["admet-ai", "chemeleon"])
def test_the_cards_are_pinned(name: str) -> None:
    """Their weights are not here; what the adapter needs of the cards is."""
    found = load_card(name)
    assert found.adapter == "chemprop_mpnn"
    assert all(len(one.sha256) == 64 for one in found.weights.each)


def test_admet_ai_tells_the_labels_that_it_saw(shared_data: Path) -> None:
    seen = {name.lower() for name in load_card("admet-ai").provenance.labels_seen}
    sets = {path.name for path in (shared_data / "admet_group").iterdir() if path.is_dir()}
    assert len(sets) == 22
    assert sets <= seen

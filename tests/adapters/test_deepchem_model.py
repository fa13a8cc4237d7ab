"""DeepChem's featurizers and models give here what they give in DeepChem, failures in their place."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from molmv.cards import Provenance, TeacherCard, Weights, load_card
from molmv.errors import CardError, TeacherError, WeightsError
from molmv.models import load_teacher
from molmv.teacher import Teacher
from molmv.testing.adapter import MOLECULES, AdapterSuite, embed

deepchem_model = pytest.importorskip("molmv.adapters.deepchem_model")
logging.getLogger("deepchem").setLevel(logging.CRITICAL)
dc = pytest.importorskip("deepchem", reason="the extra deepchem is not installed")

CARD = """\
name = "lipophilicity"
modality = "molecule"
adapter = "deepchem_model"
dim = 16
likelihood = "gaussian"
extra = "deepchem"

[weights]
file = "model/checkpoint1.pt"
sha256 = "{sha256}"

[options]
featurizer = "CircularFingerprint"
model = "MultitaskRegressor"

[options.arguments]
size = 256

[options.model_arguments]
n_tasks = 1
n_features = 256
layer_sizes = [32, 16]

[provenance]
licence = "none"
trained_on = ["Lipophilicity_AstraZeneca, 500 rows"]
labels_seen = ["Lipophilicity_AstraZeneca"]
"""


def regressor(folder: Path) -> Any:
    return dc.models.MultitaskRegressor(1, 256, layer_sizes=[32, 16], learning_rate=0.01, model_dir=str(folder))


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that DeepChem trained and saved, and its card."""
    folder = tmp_path_factory.mktemp("lipophilicity")
    data = pd.read_csv(shared_data / "tdc" / "Lipophilicity_AstraZeneca.csv", nrows=500)
    features = dc.feat.CircularFingerprint(size=256).featurize(data.smiles.tolist())
    model = regressor(folder / "model")
    dataset = dc.data.NumpyDataset(features, data.label.to_numpy()[:, None])
    untrained = np.corrcoef(model.predict(dataset).ravel(), data.label)[0, 1]
    model.fit(dataset, nb_epoch=20)
    assert np.corrcoef(model.predict(dataset).ravel(), data.label)[0, 1] > max(untrained, 0.6)
    sha256 = hashlib.sha256((folder / "model" / "checkpoint1.pt").read_bytes()).hexdigest()
    (folder / "lipophilicity.toml").write_text(CARD.format(sha256=sha256))
    return folder


class TestCircularFingerprintWithoutCard(AdapterSuite):
    teacher_name = "deepchem:CircularFingerprint"
    packages = ("deepchem",)


class TestDescriptors(AdapterSuite):
    teacher_name = "deepchem-descriptors"
    packages = ("deepchem",)


class TestTrainedModel(AdapterSuite):
    packages = ("deepchem",)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def made(cls, folder: Path) -> None:
        cls.teacher_name = str(folder / "lipophilicity.toml")

    def test_it_says_what_deepchem_says(self, folder: Path, vectors: dict[str, np.ndarray]) -> None:
        model = regressor(folder / "model")
        model.restore()
        features = dc.feat.CircularFingerprint(size=256).featurize(list(MOLECULES))
        self.close(list(vectors.values()), model.predict_embedding(dc.data.NumpyDataset(features)))


def card(featurizer: str, **options: Any) -> TeacherCard:
    options = {"featurizer": featurizer, **options}
    return TeacherCard("t", "molecule", "deepchem_model", 0, "gaussian", Provenance("MIT", (), ()), options=options)


def graph_model(folder: Path, layer: str | None) -> TeacherCard:
    """A small message-passing network with a checkpoint of random weights."""
    pytest.importorskip("torch_geometric", reason="DMPNNModel needs it")
    arguments = {"enc_hidden": 24, "ffn_hidden": 8, "ffn_layers": 2, "depth": 2, "batch_size": 4}
    model = dc.models.torch_models.DMPNNModel(**arguments, model_dir=str(folder))
    model.save_checkpoint()
    path = folder / "checkpoint1.pt"
    weights = Weights(file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    options = {"model": "DMPNNModel", "model_arguments": arguments, **({"layer": layer} if layer else {})}
    return replace(card("DMPNNFeaturizer", **options), weights=weights, path=folder / "t.toml")


def test_a_layer_of_a_graph_model(tmp_path: Path) -> None:
    made = graph_model(tmp_path, "encoder")
    teacher = Teacher(made, deepchem_model.DeepchemModel(made))
    found = embed(teacher, [*MOLECULES, None, "CC("])
    model = dc.models.torch_models.DMPNNModel(**made.options["model_arguments"], model_dir=str(tmp_path))
    model.restore()
    seen: list[torch.Tensor] = []
    model.model.ffn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    features = dc.feat.DMPNNFeaturizer().featurize(list(MOLECULES))
    model.predict(dc.data.NumpyDataset(features))
    np.testing.assert_allclose(found[: len(MOLECULES)], torch.cat(seen).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, "has no embedding of its own; choose a layer: encoder, encoder"),
        ("encoder.W_h", "gives [0-9]+ vectors for 1 molecules; name one that pools"),
        ("readout", "no layer 'readout'; there are encoder"),
        ("encoder.W_x", "no layer 'encoder.W_x'"),
    ],
)
def test_layers_that_are_no_embedding(layer: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(CardError, match=message):
        deepchem_model.DeepchemModel(graph_model(tmp_path, layer))


def test_a_failed_molecule_is_a_row_of_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepChem returns an empty array for it, of another shape than the others."""
    adapter = deepchem_model.DeepchemModel(card("MACCSKeysFingerprint"))
    smiles = ["CCO", "CC(", "c1ccccc1O", "xx"]
    found = adapter.embed_batch(smiles)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, True]
    np.testing.assert_array_equal(found[[0, 2]], dc.feat.MACCSKeysFingerprint().featurize(["CCO", "c1ccccc1O"]))
    assert np.isnan(adapter.embed_batch(["xx", "xx"])).all()


@pytest.mark.parametrize(
    ("featurizer", "options", "message"),
    [
        ("MolGraphConvFeaturizer", {}, "gives a GraphData, not a vector; only a model"),
        ("ConvMolFeaturizer", {}, "gives a ConvMol, not a vector"),
        ("AtomicCoordinates", {}, r"expected one vector a molecule, found an array of shape \(3, 3\)"),
        ("Mol2VecFingerprint", {}, "not offered: it downloads its weights without a hash"),
        ("CircularFingerprnt", {}, "no Featurizer called 'CircularFingerprnt'. Did you mean CircularFingerprint"),
        ("logger", {}, "no Featurizer called 'logger'"),
        ("CircularFingerprint", {"arguments": {"bits": 3}}, "refuses its arguments: .*'bits'"),
        ("CircularFingerprint", {"radius": 3}, "no option radius; known: featurizer, arguments"),
    ],
)
def test_what_gives_no_vector_is_refused(featurizer: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError, match=message):
        deepchem_model.DeepchemModel(card(featurizer, **options))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            ("[32, 16]", "[32, 17]"),
            WeightsError,
            "checkpoint1.pt is not a checkpoint of this MultitaskRegressor: .*size mism",
        ),
        (("[32, 16]", "[32]"), WeightsError, "is not a checkpoint of this MultitaskRegressor: .*layers.1"),
        (("dim = 16", "dim = 17"), TeacherError, "its card says 17 dimensions, it has 16"),
        (('"MultitaskRegressor"', '"SklearnModel"'), CardError, "no TorchModel called 'SklearnModel'"),
    ],
)
def test_another_model_than_the_one_that_was_saved(
    change: tuple[str, str], error: type, message: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").symlink_to(folder / "model")
    other = tmp_path / "lipophilicity.toml"
    other.write_text((folder / "lipophilicity.toml").read_text().replace(*change))
    with pytest.raises(error, match=message):
        load_teacher(str(other))


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def test_nothing_is_unpickled(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = graph_model(tmp_path, "encoder")
    torch.save({"model_state_dict": Evil()}, tmp_path / "checkpoint1.pt")
    sha256 = hashlib.sha256((tmp_path / "checkpoint1.pt").read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="is not a checkpoint of this DMPNNModel"):
        deepchem_model.DeepchemModel(replace(made, weights=replace(made.weights, sha256=sha256)))
    assert "unpickled" not in capfd.readouterr().out


def test_what_the_short_name_says() -> None:
    assert load_card("deepchem:MACCSKeysFingerprint").likelihood == "bernoulli"
    assert load_card("deepchem:RDKitDescriptors").store_encoding == "float32"

"""Transformers of SMILES against plain calls of transformers, on small models and, where they lie here, on rxnfp's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import smiles_transformer_models as models
from hypothesis import given
from hypothesis import strategies as st

from molmv import weights
from molmv.adapters.smiles_tokens import SMILES
from molmv.cards import load_card
from molmv.embed_corpus import embed_corpus
from molmv.embeddings import EmbeddingStore
from molmv.errors import CardError, WeightsError
from molmv.featurizing import featurize
from molmv.models import load_teacher
from molmv.results import load_embeddings
from molmv.rows import ERROR, OK, TRUNCATED
from molmv.table import open_table
from molmv.teacher import Teacher
from molmv.testing.adapter import MOLECULES, AdapterSuite

pytest.importorskip("transformers", reason="transformers is not installed")


class Tiny(AdapterSuite):
    packages = ("transformers",)
    make: ClassVar[Callable[..., Path]]
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _card(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        folder = tmp_path_factory.mktemp("hub")
        cls.teacher_name = str(cls.make(folder, **cls.options))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOLMV_MIRROR", str(folder))
            yield


class TestTinyBert(Tiny):
    make = staticmethod(models.bert)


class TestTinyRoberta(Tiny):
    make = staticmethod(models.roberta)
    options: ClassVar = {"pooling": "cls", "layer": 2}


class TestTinySelfies(Tiny):
    make = staticmethod(models.roberta)
    options: ClassVar = {"notation": "selfies", "pooling": "mean_all"}
    packages = ("transformers", "selfies")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("pooling", ["cls", "mean", "mean_all"])
@pytest.mark.parametrize("layer", [1, 3])
def test_vectors_are_those_of_transformers(pooling: str, layer: int, hub: Path):
    import torch
    from transformers import AutoTokenizer, RobertaModel

    teacher = load_teacher(str(models.roberta(hub, pooling=pooling, layer=layer)))
    read = AutoTokenizer.from_pretrained(hub / "org/tiny")
    network = RobertaModel.from_pretrained(hub / "org/tiny", add_pooling_layer=False).eval()
    found = teacher.adapter.embed_batch(MOLECULES)
    for text, vector in zip(MOLECULES, found, strict=True):
        with torch.no_grad():
            h = network(**read(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
        expected = {"cls": h[0], "mean": h[1:-1].mean(0), "mean_all": h.mean(0)}[pooling]
        np.testing.assert_allclose(vector, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_long_molecule_is_truncated_everywhere(hub: Path):
    name, long = str(models.bert(hub, max_tokens=10)), "C" * 30
    result = featurize(["CCO", long, "[Fe]"], model=name)
    assert result.status == [OK, TRUNCATED, ERROR]
    assert result.reason == ["", "tiny: 10 of 32 tokens were read", "tiny: not in its vocabulary: [Fe]"]
    assert result.valid.tolist() == [True, True, False]
    np.testing.assert_allclose(result.X[1], featurize(["C" * 8], model=name).X[0], rtol=1e-4, atol=1e-5)
    result.save(hub / "out.csv")
    again = load_embeddings(hub / "out.csv")
    assert (again.status, again.valid.tolist()) == (result.status, [True, True, False])

    (hub / "corpus.smi").write_text(f"CCO\n{long}\n[Fe]\n")
    embed_corpus(name, open_table(hub / "corpus.smi"), hub / "store")
    store = EmbeddingStore(hub / "store")
    assert store.status == result.status
    assert store.valid.tolist() == [True, True, False]
    assert np.abs(store.take(np.array([1]))).sum() > 0
    assert (store.keys != 0).tolist() == [True, True, False]


def test_a_long_molecule_can_be_refused(hub: Path):
    result = featurize(["C" * 8, "C" * 9], model=str(models.bert(hub, max_tokens=10, too_long="refuse")))
    assert (result.status, result.reason[1]) == ([OK, ERROR], "tiny: has 11 tokens, more than 10")


def test_what_a_tokenizer_of_the_hub_would_drop_is_told(hub: Path):
    result = featurize(["CCO", "C[Se]C[U]"], model=str(models.roberta(hub)))
    assert (result.status[1], result.reason[1]) == (ERROR, "tiny: not in its vocabulary: Se, U")


def test_what_selfies_cannot_say_is_told(hub: Path):
    pytest.importorskip("selfies", reason="selfies is not installed")
    result = featurize(["CCO", "*CC"], model=str(models.roberta(hub, notation="selfies")))
    assert result.status == [OK, ERROR]
    assert "cannot be written as SELFIES" in result.reason[1]


@given(st.lists(st.integers(0, 600), max_size=80))
def test_sub_batches_hold_every_text_once(lengths: list[int]):
    from molmv.adapters.transformers_network import SUB_BATCH, sub_batches

    batches = list(sub_batches(lengths))
    assert sorted(i for rows in batches for i in rows) == [i for i, length in enumerate(lengths) if length]
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= SUB_BATCH


@pytest.mark.parametrize(
    "text", ["C[C@@H](Br)Cl", "[nH]1cccc1>>[Na+].[Cl-]", r"F/C=C\F", "C%12CC%12", "C%(123)", "C$C~*"]
)
def test_tokens_join_to_the_text(text: str):
    assert "".join(SMILES.findall(text)) == text


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "merges.txt", "tokenizer_config.json"])
def test_a_changed_text_is_refused(name: str, hub: Path):
    path = models.roberta(hub)
    with (hub / "org/tiny" / name).open("a") as file:
        file.write(" ")
    with pytest.raises(WeightsError, match=rf"{name} is not the file of its card: expected sha256"):
        load_teacher(str(path))


def test_nothing_but_the_named_files_is_read(hub: Path):
    path = models.roberta(hub)
    before = load_teacher(str(path)).adapter.embed_batch(["CCO"])
    (hub / "org/tiny/added_tokens.json").write_text('{"CCO": 5}')
    (hub / "org/tiny/tokenizer.json").write_text("no JSON")
    np.testing.assert_array_equal(load_teacher(str(path)).adapter.embed_batch(["CCO"]), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("bert.encoder.layer.1.output.dense.weight"), "Missing key"),
        (lambda state: state.update({"bert.extra": state["bert.encoder.layer.1.output.dense.bias"]}), "Unexpected key"),
    ],
)
def test_weights_of_another_network_are_refused(change: Callable[[dict[str, Any]], Any], message: str, hub: Path):
    import torch

    models.bert(hub)
    file = hub / "org/tiny/pytorch_model.bin"
    state = torch.load(file, weights_only=True)
    change(state)
    torch.save(state, file)
    path = models.card(hub, file.name, tokenizer="smiles-regex", model_type="bert")
    with pytest.raises(WeightsError, match=message):
        load_teacher(str(path))


def test_weights_that_would_run_code_are_refused(hub: Path):
    import torch

    models.bert(hub)
    file = hub / "org/tiny/pytorch_model.bin"
    torch.save({"bert.x": Path("x")}, file)
    with pytest.raises(WeightsError, match="does not hold the weights of a bert"):
        load_teacher(str(models.card(hub, file.name, tokenizer="smiles-regex", model_type="bert")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "option pooling: expected cls or mean or mean_all; found 'max'"),
        ({"layer": 4}, "option layer: the network has only 3"),
        ({"max_tokens": 2}, "option max_tokens"),
        ({"model_type": "molformer"}, "no model of type 'molformer', and code that comes with weights"),
        ({"colour": "red"}, "option colour: expected no such option"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, hub: Path):
    with pytest.raises(CardError, match=message):
        load_teacher(str(models.roberta(hub, **options)))


@pytest.mark.parametrize("name", ["chemberta-77m-mtr", "chemberta-77m-mlm", "selformer"])
def test_cards_of_unknown_hash_say_so(name: str):
    with pytest.raises(WeightsError, match="the sha256 of its weights is not known"):
        load_teacher(name)


# Vectors from rxnfp's own tokenizer (its code, run once) and plain BertModel; the last, [CLS] of a reaction, is what
# the README of rxnfp 0.1.0 prints for it.
REACTION = (
    "Nc1cccc2cnccc12.O=C(O)c1cc([N+](=O)[O-])c(Sc2c(Cl)cncc2Cl)s1"
    ">>O=C(Nc1cccc2cnccc12)c1cc([N+](=O)[O-])c(Sc2c(Cl)cncc2Cl)s1"
)
GOLDEN = {
    "rxnfp-bert-pretrained": {
        "CCO": [-0.85761, -1.34293, 0.23596, -0.57935, -0.48066, 1.23],
        "CC(=O)Oc1ccccc1C(=O)O": [-0.07406, -1.22873, -0.44649, -0.48331, -0.57783, 0.4587],
        "C[C@H](N)C(=O)[O-]": [-0.14836, -0.96076, -0.29176, -0.36411, -0.53969, 0.56363],
    },
    "rxnfp-bert-ft": {
        "CCO": [-1.88883, -0.10343, -0.68616, -1.92647, 2.65294, -2.17499],
        "CC(=O)Oc1ccccc1C(=O)O": [-0.34436, -0.58747, 0.88247, -1.09718, 1.30877, -2.63862],
        "C[C@H](N)C(=O)[O-]": [-0.99442, -0.4132, 0.68129, -1.17739, 1.76154, -2.61946],
        REACTION: [
            -2.0174953937530518,
            1.7602033615112305,
            -1.3323537111282349,
            -1.1095019578933716,
            1.2254550457000732,
        ],
    },
}


@pytest.fixture(scope="session")
def downloads() -> str:
    """The user's own cache: only weights that were downloaded before the tests are there."""
    import platformdirs

    return str(platformdirs.user_cache_path("molmv"))


class Rxnfp(AdapterSuite):
    packages = ("transformers",)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, downloads: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOLMV_MIRROR", downloads)
            if weights.find(load_card(cls.teacher_name)) is None:
                pytest.skip(
                    f"the weights are not in {downloads}: `molmv teachers embed {cls.teacher_name}` fetches them"
                )
            yield

    def test_vectors_are_those_of_rxnfp(self, teacher: Teacher) -> None:
        for text, expected in GOLDEN[self.teacher_name].items():
            found = teacher.adapter.embed_batch([text])[0]
            np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)


class TestRxnfpPretrained(Rxnfp):
    teacher_name = "rxnfp-bert-pretrained"


class TestRxnfpFinetuned(Rxnfp):
    teacher_name = "rxnfp-bert-ft"

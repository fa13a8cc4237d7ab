"""Text students: the life of each, the quick way of the static one against its network, and its vocabulary."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from molmv.errors import CheckpointError, ConfigError
from molmv.models import load_student, modality_of
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.text_inputs import text_tensors
from molmv.student.tokens import FILE, WordReader, train_vocabulary
from molmv.testing.student import TextStudentSuite

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
# Two words only are not in it, so that the static student tells the order-free texts apart by something.
CORPUS = [
    *dict.fromkeys(TextStudentSuite.good),
    "is it a joy or a painful word?",
    "dictionaries merge where the jazz is",
]
SIZES = {
    "static_text": {"vocabulary": 160, "embedding": 16, "hidden": 24},
    "text": {"vocabulary": 160, "layers": 2, "width": 16, "heads": 2, "embedding": 12, "max_tokens": 100},
}


def checkpoint(folder: Path, kind: str, **changes: object) -> Path:
    torch.manual_seed(0)
    sizes = {**SIZES[kind], **changes}
    network = StudentKind(kind, sizes).make()
    files = {FILE: train_vocabulary(CORPUS, 150)}
    save_checkpoint(Checkpoint("tiny", kind, vars(network.config), {}, network.state_dict(), files=files), folder)
    return folder


class TestStatic(TextStudentSuite):
    # A bag of words: "Where is my card?" and "Is my card where?" are one text to it, but for the case, which is none.
    good = tuple(text for text in TextStudentSuite.good if text != "Is my card where?")

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory) -> Path:
        return checkpoint(tmp_path_factory.mktemp("static"), "static_text")


class TestTransformer(TextStudentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory) -> Path:
        return checkpoint(tmp_path_factory.mktemp("text"), "text")


@pytest.mark.parametrize("kind", SIZES)
def test_at_work_as_in_training(kind: str, tmp_path: Path):
    """Padding, batches and the sums of words against the network on each text alone, and cut at its most tokens."""
    student = load_student(checkpoint(tmp_path, kind, max_tokens=7), device="cpu")
    reader = WordReader((tmp_path / FILE).read_bytes(), 7)
    rows = student.screen(CORPUS)
    X = student.embed(rows)
    assert {"truncated", "ok"} == set(rows.status)
    for text, found in zip(CORPUS, X, strict=True):
        with torch.inference_mode():
            expected = student.encoder(text_tensors(reader([text])[0]))[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert modality_of(str(tmp_path)) == "text"


@pytest.mark.parametrize("group", [1, 2, 64])
def test_a_batch_of_all_lengths_is_as_each_text_alone(group: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("molmv.student.text.GROUP", group)
    reader = WordReader(train_vocabulary(CORPUS, 200), 20)
    network = StudentKind("text", SIZES["text"] | {"vocabulary": 200}).make().eval()
    texts = [*CORPUS, "", CORPUS[0] * 3]
    with torch.inference_mode():
        together = network(text_tensors(reader(texts)[0]))
        for text, found in zip(texts, together, strict=True):
            np.testing.assert_allclose(found, network(text_tensors(reader([text])[0]))[0], atol=1e-5)


def test_static_mean_by_hand(tmp_path: Path):
    student = load_student(checkpoint(tmp_path, "static_text", hidden=0), device="cpu")
    with torch.no_grad():
        student.encoder.weights.weight.normal_()
    student.runner._forget()
    reader = WordReader((tmp_path / FILE).read_bytes(), 99)
    ids = torch.from_numpy(reader(["painful jazz card"])[0].ids).long()
    weight = student.encoder.weights.weight[ids].exp()
    expected = (student.encoder.vectors.weight[ids] * weight).sum(0) / weight.sum()
    found = student.embed(student.screen(["painful jazz card"]))[0]
    np.testing.assert_allclose(found, expected.detach(), atol=1e-5)


def added(content: str, **options: bool) -> dict:
    """An added token of a ``tokenizer.json``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    return {"added_tokens": [{"id": 6, "content": content, **plain, **options}]}


def bert(**options: object) -> dict:
    """A normaliser of a ``tokenizer.json``."""
    plain = {"lowercase": True, "strip_accents": None, "clean_text": True, "handle_chinese_chars": True}
    return {"normalizer": {"type": "BertNormalizer", **plain, **options}}


# Files that ask for other things than ours do; each changes what tokens some words have.
DIGITS = [{"type": "BertPreTokenizer"}, {"type": "Digits", "individual_digits": True}]
OTHERWISE: dict[str, dict] = {
    "ours": {},
    "case": bert(lowercase=False),
    "no normaliser": {"normalizer": None},
    "another normaliser": {"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}},
    "blanks only": {"pre_tokenizer": {"type": "WhitespaceSplit"}},
    "runs of marks": {"pre_tokenizer": {"type": "Whitespace"}},
    "digits": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": DIGITS}},
    "an added token": added("ab"),
    "an added token with an accent": added("á"),
    "a special token": added("[ab]", special=True, normalized=False),
}


@pytest.mark.parametrize("name", [*OTHERWISE, "short words"])
@example(texts=["abc 1a ab1 cab Abc FED", "abc, 1a[ab]cab! .. [AB] Ab1.?"])
@given(texts=st.lists(st.text(alphabet="abcdefABé1 [],.-'ß\t𝒳字\u00a0?", max_size=25), max_size=6))
def test_word_by_word_is_as_a_whole(name: str, texts: list[str]):
    from tokenizers import Tokenizer

    content = json.loads(train_vocabulary(["abc def abcdef Ab1 AB", "fed cab 1a [.,!]", "字"], 60))
    content.update(OTHERWISE.get(name, {}))
    if name == "short words":
        content["model"]["max_input_chars_per_word"] = 2
    file = json.dumps(content)
    whole = Tokenizer.from_str(file)
    tokens, full = WordReader(file.encode(), 1000)(texts)
    for i, text in enumerate(texts):
        expected = whole.encode(text, add_special_tokens=False).ids
        assert tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]].tolist() == expected
        assert full[i] == len(expected)


def test_words_met_before_new_ones_and_forgotten_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    once = load_student(checkpoint(tmp_path, "static_text"), device="cpu")
    expected = once.embed(once.screen(CORPUS))
    student = load_student(tmp_path, device="cpu", batch_size=1)
    np.testing.assert_allclose(student.embed(student.screen(CORPUS)), expected, atol=1e-6)
    np.testing.assert_allclose(student.embed(student.screen(CORPUS)), expected, atol=1e-6)
    monkeypatch.setattr("molmv.student.text_runners.MAX_WORDS", 3)
    np.testing.assert_allclose(student.embed(student.screen(CORPUS)), expected, atol=1e-6)
    assert len(student.runner._rows) < 20


def test_the_same_corpus_gives_the_same_vocabulary():
    first, second = (train_vocabulary(order, 60) for order in (CORPUS, CORPUS[::-1]))
    assert first == second
    assert json.loads(first)["model"]["type"] == "WordPiece"


def test_a_damaged_or_a_missing_vocabulary(tmp_path: Path):
    folder = checkpoint(tmp_path, "static_text")
    (folder / FILE).write_bytes((folder / FILE).read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json was changed"):
        load_student(folder)
    (folder / FILE).unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing"):
        load_student(folder)


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("static_text", {}, "student.vocabulary must be given"),
        ("static_text", {"vocabulary": 0}, "student.vocabulary: expected a whole number above 0"),
        ("static_text", {"vocabulary": 9, "dropout": 1.0}, "student.dropout"),
        ("text", {"vocabulary": 9, "width": 30, "heads": 4}, "4 do not divide a width of 30"),
        ("text", {"vocabulary": 9, "depth": 2}, "unknown key 'depth'"),
    ],
)
def test_impossible_sizes(kind: str, sizes: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        StudentKind(kind, sizes).make()


def test_a_vocabulary_that_splits_otherwise():
    content = json.loads(train_vocabulary(CORPUS, 60))
    content["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    with pytest.raises(ConfigError, match="splits by Metaspace"):
        WordReader(json.dumps(content).encode(), 10)
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        WordReader(b"{}", 10)

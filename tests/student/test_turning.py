"""In a turned student's space, distances are those between what it says of its teachers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import molmv
from molmv.distill.config import config_of
from molmv.embed_corpus import embed_corpus
from molmv.errors import CheckpointError, ConfigError
from molmv.modality import of
from molmv.models import load_student
from molmv.student.checkpoint import load_checkpoint, save_checkpoint
from molmv.student.turning import teacher_space, turned
from molmv.table import open_table

TEXTS = ["a slow film", "my card is lost", "play the song", "merge two lists in python", "the price", "a film song"]


def squares(X: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs of rows."""
    return ((X[:, None] - X[None]) ** 2).sum(-1)


@given(st.integers(0, 1000), st.integers(1, 3))
def test_inner_products_are_those_of_the_predictions(seed: int, teachers: int):
    torch.manual_seed(seed)
    Z = torch.randn(40, 5)
    heads = [(torch.randn(7, 5) * 10**k, torch.randn(7)) for k in range(teachers)]
    A, a = teacher_space(heads, Z)
    expected = 0
    for M, b in heads:
        T = Z @ M.T + b
        expected = expected + T @ T.T / T.square().sum(1).mean() / teachers
    difference = (Z @ A.T + a) @ (Z @ A.T + a).T - expected
    torch.testing.assert_close(difference, difference.mean().expand(40, 40), atol=2e-3, rtol=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Students with linear heads of each kind, and one whose head is not."""
    folder = tmp_path_factory.mktemp("turning")
    (folder / "corpus.txt").write_text("\n".join(f"{text} {number}" for text in TEXTS for number in range(12)) + "\n")
    corpus = open_table(folder / "corpus.txt", modality=of("text"))
    embed_corpus("hashed-ngrams", corpus, folder / "store" / "hashed-ngrams")
    sizes = {"vocabulary": 120, "embedding": 12}
    students = {
        "static": ({"kind": "static_text", **sizes}, 0),
        "transformer": ({"kind": "text", **sizes, "layers": 1, "width": 16, "heads": 2}, 0),
        "deep": ({"kind": "static_text", **sizes}, 1),
        "hidden": ({"kind": "static_text", **sizes, "hidden": 8}, 0),
    }
    for name, (student, depth) in students.items():
        table = {
            "name": name,
            "output": str(folder / name),
            "teachers": ["hashed-ngrams"],
            "data": {"corpus": str(folder / "corpus.txt"), "stores": str(folder / "store"), "held_out": 0.1},
            "student": student,
            "loss": {"hidden": 12, "depth": depth},
            "train": {"steps": 5, "batch_size": 32, "threads": 1},
            "information": {"rows": 0},
            "tracking": {"mlflow": False},
        }
        molmv.distill(config_of(table, name))
    return folder


@pytest.mark.parametrize("name", ["static", "transformer"])
def test_distances_are_those_of_the_predictions(name: str, runs: Path, tmp_path: Path):
    student, sample = load_student(runs / name), [*TEXTS, ""]
    checkpoint = turned(load_checkpoint(runs / name / "student"), student, sample)
    save_checkpoint(checkpoint, tmp_path / "turned")
    again = load_student(tmp_path / "turned")
    assert again.provenance["turned_to"] == ["hashed-ngrams"]
    said = student.predict_teacher("hashed-ngrams", TEXTS).mean
    expected = squares(said) / (said**2).sum(1).mean()
    found = squares(again.embed(again.screen(TEXTS)))
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())
    with pytest.raises(CheckpointError):
        again.heads  # noqa: B018


@pytest.mark.parametrize(("name", "message"), [("deep", "is not linear"), ("hidden", "cannot be turned")])
def test_what_cannot_be_turned(name: str, message: str, runs: Path):
    with pytest.raises(ConfigError, match=message):
        turned(load_checkpoint(runs / name / "student"), load_student(runs / name), TEXTS)


def test_a_kind_without_a_last_linear_step():
    student = load_student("molmv-small")
    with pytest.raises(ConfigError, match="'gine' cannot be turned"):
        turned(load_checkpoint(student.folder), student, ["CCO"])

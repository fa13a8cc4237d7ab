"""A turned student's distances are those between what it says of its teachers, or what they were, in fewer numbers."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

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
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.turning import linear_head, teacher_space
from molmv.table import open_table
from molmv.trial_molecules import trial_molecules

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
    difference = (Z @ A.T + a) @ (Z @ A.T + a).T / 5 - expected
    torch.testing.assert_close(difference, difference.mean().expand(40, 40), atol=2e-3, rtol=0)


@pytest.fixture
def turn(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``configs/turn.py``."""
    monkeypatch.syspath_prepend(str(root / "configs"))
    return importlib.import_module("turn")


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
def test_distances_are_those_of_the_predictions(name: str, runs: Path, tmp_path: Path, turn: ModuleType):
    student, sample = load_student(runs / name), [*TEXTS, ""]
    heads = {"hashed-ngrams": student.heads.linear("hashed-ngrams")}
    save_checkpoint(turn.turn(student, turn.vectors(student, sample), heads, 0, "again"), tmp_path / "turned")
    again = load_student(tmp_path / "turned")
    assert again.name == "again"
    assert again.provenance["turned_to"] == ["hashed-ngrams"]
    said = student.predict_teacher("hashed-ngrams", TEXTS).mean
    expected = student.dim * squares(said) / (said**2).sum(1).mean()
    found = squares(again.embed(again.screen(TEXTS)))
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())
    with pytest.raises(CheckpointError):
        again.heads  # noqa: B018


def test_a_head_that_is_not_linear(runs: Path):
    with pytest.raises(ConfigError, match="is not linear"):
        load_student(runs / "deep").heads.linear("hashed-ngrams")


def test_a_network_without_a_last_linear_step(runs: Path, turn: ModuleType):
    student = load_student(runs / "hidden")
    Z = turn.vectors(student, TEXTS)
    with pytest.raises(ConfigError, match="cannot be turned"):
        turn.turn(student, Z, {}, 4, "few")


# Every kind of student, tiny and untrained: what it embeds, its sizes.
KINDS: dict[str, tuple[dict[str, Any], Callable[[Path], list[str]]]] = {
    "gine": ({"layers": 2, "width": 16, "embedding": 10, "hidden": 0}, lambda folder: list(trial_molecules()[:120])),
    "gine, bent": (
        {"layers": 2, "width": 16, "embedding": 10, "hidden": 12},
        lambda folder: list(trial_molecules()[:120]),
    ),
    "vision": ({"embedding": 10}, lambda folder: drawn(folder)),
}


def drawn(folder: Path) -> list[str]:
    """Files of forty images of noise."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    random = np.random.default_rng(0)
    for number in range(40):
        image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return sorted(str(path) for path in folder.glob("*.png"))


@pytest.mark.parametrize("kind", KINDS)
def test_distances_stay_where_all_directions_are_kept(kind: str, tmp_path: Path, turn: ModuleType):
    sizes, sample = KINDS[kind]
    inputs, kind = sample(tmp_path), kind.partition(",")[0]
    network = StudentKind(kind, sizes).make()
    save_checkpoint(Checkpoint("tiny", kind, sizes, {}, network.state_dict()), tmp_path / "before")
    students = {"before": load_student(tmp_path / "before", device="cpu")}
    Z = turn.vectors(students["before"], inputs)
    for name, width in (("all", 10), ("few", 4)):
        save_checkpoint(turn.turn(students["before"], Z, {}, width, name), tmp_path / name)
        students[name] = load_student(tmp_path / name, device="cpu")
    vectors = {name: one.embed(one.screen(inputs)).astype(np.float64) for name, one in students.items()}
    assert vectors["few"].shape[1] == students["few"].dim == 4
    between = {name: np.sqrt(squares(v)) for name, v in vectors.items()}
    np.testing.assert_allclose(between["all"], between["before"], atol=1e-4)
    assert (between["few"] <= between["before"] + 1e-4).all()
    kept = students["few"].provenance["turned"]["variance_kept"]
    assert kept == pytest.approx(vectors["few"].var(0).sum() / vectors["before"].var(0).sum(), abs=1e-3)


def test_a_fitted_head_is_that_of_a_linear_teacher():
    random = np.random.default_rng(0)
    Z = random.standard_normal((400, 5)).astype(np.float32)
    T = Z @ random.standard_normal((5, 7)).astype(np.float32) * 100 + 3
    M, b = linear_head(Z, T)
    standardised = (T - T.mean(0)) / T.std(0)
    np.testing.assert_allclose(Z @ M.numpy().T + b.numpy(), standardised, atol=0.02)


def test_one_absurd_value_does_not_decide_a_fitted_head():
    random = np.random.default_rng(0)
    Z = random.standard_normal((2000, 3)).astype(np.float32)
    T = np.stack([Z[:, 0], Z[:, 1], Z[:, 2]], 1)
    before = linear_head(Z, T)[0]
    T[7, 1] = 1e30
    torch.testing.assert_close(linear_head(Z, T)[0], before, atol=0.05, rtol=0)


def test_from_the_command_line(tmp_path: Path, turn: ModuleType, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "corpus.smi").write_text("\n".join(trial_molecules()[:200]))
    words = ["molmv-small", tmp_path / "corpus.smi", "-o", tmp_path / "new", "--to", "maccs", "ecfp", "--width", 32]
    monkeypatch.setattr("sys.argv", ["turn.py", *map(str, words)])
    turn.main()
    again = load_student(tmp_path / "new")
    assert (again.name, again.dim, again.provenance["turned_to"]) == ("molmv-small-turned", 32, ["maccs", "ecfp"])

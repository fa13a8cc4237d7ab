"""Every student that ships: small, whole, safe to open, and still giving the vectors it was released with."""

import json
from pathlib import Path

import numpy as np
import pytest

from molmv.models import load_student, student_folder, student_names
from molmv.student.checkpoint import CONFIG, WEIGHTS, load_checkpoint
from molmv.testing.student import TOLERANCE, MoleculeStudentSuite

LARGEST = 40_000_000  # bytes of all students in the wheel
# Files that a pickle may hide in.
PICKLES = {".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"}


def test_together_they_fit_the_wheel():
    assert sum(path.stat().st_size for path in student_folder().rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize(
    "name", student_names() or [pytest.param("", marks=pytest.mark.skip("no student is released"))]
)
class TestReleasedStudent:
    @pytest.fixture
    def place(self, name: str) -> Path:
        return student_folder() / name

    def test_holds_nothing_to_unpickle(self, place: Path):
        files = [path for path in place.rglob("*") if path.is_file()]
        assert {CONFIG, WEIGHTS} <= {path.name for path in files}
        assert [path for path in files if path.suffix in PICKLES or path.read_bytes()[:1] == b"\x80"] == []

    def test_loads_by_its_name_and_has_the_size_of_its_card(self, name: str, place: Path):
        student = load_student(name, device="cpu")
        checkpoint = load_checkpoint(place)
        assert student.name == checkpoint.name == name
        assert student.dim == checkpoint.config["embedding"]
        card = place / "README.md"
        assert card.is_file(), "a released student has a model card"
        assert f"{student.dim} dimensions" in card.read_text(encoding="utf-8")

    def test_tells_where_it_is_from(self, place: Path):
        about = load_checkpoint(place).provenance
        assert len(bytes.fromhex(about["corpus"]["sha256"])) == 32
        assert about["teachers"]
        assert all(teacher["licence"] for teacher in about["teachers"].values())

    def test_gives_the_vectors_it_was_released_with(self, name: str, place: Path):
        path = place / "reference.json"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        reference = json.loads(path.read_text(encoding="utf-8"))
        student = load_student(name, device="cpu")
        X = student.embed(student.screen(reference["smiles"]))
        assert len(X) == len(reference["embedding_first8"]) > 0
        np.testing.assert_allclose(X[:, :8], reference["embedding_first8"], rtol=0, atol=TOLERANCE)


@pytest.mark.skipif("molmv-small" not in student_names(), reason="molmv-small is not released")
class TestMolmvSmall(MoleculeStudentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls) -> Path:
        return student_folder() / "molmv-small"


@pytest.mark.skipif("molmv-base" not in student_names(), reason="molmv-base is not released")
class TestMolmvBase(MoleculeStudentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls) -> Path:
        return student_folder() / "molmv-base"

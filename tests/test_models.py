"""From a name to a model; a wrong name gets the nearest."""

from pathlib import Path

import pytest

from molmv import cards, models
from molmv.embedder import Embedder
from molmv.errors import CheckpointError, UnknownNameError


def test_teachers_are_listed_by_name():
    found = [card.name for card in models.list_teachers()]
    assert found == sorted(found)
    assert {"ecfp", "minimol", "rdkit-descriptors"} <= set(found)


def test_a_teacher_by_name_and_by_card():
    teacher = models.load_teacher("rdkit-descriptors")
    assert isinstance(teacher, Embedder)
    by_card = models.load_teacher(str(cards.card_folder() / "rdkit-descriptors.toml"))
    assert (by_card.name, by_card.digest) == (teacher.name, teacher.digest)


@pytest.mark.parametrize("load", [models.load_teacher, models.load_embedder])
def test_a_misspelt_teacher_gets_the_nearest(load):
    with pytest.raises(UnknownNameError, match=r"'rdkit-descriptor'.*Did you mean 'rdkit-descriptors'\?"):
        load("rdkit-descriptor")


def test_an_unknown_model_lists_the_students(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "student_names", lambda: ("molmv-tiny",))
    with pytest.raises(UnknownNameError, match=r"No model is called 'zzz' \(students: molmv-tiny\)\."):
        models.load_embedder("zzz")
    with pytest.raises(UnknownNameError, match=r"'zzz' is neither a released student.*molmv-tiny"):
        models.load_student("zzz")


def test_the_batch_size_is_passed_on():
    assert models.load_embedder("rdkit-descriptors", batch_size=7).batch_size == 7
    assert models.load_embedder("rdkit-descriptors").batch_size == models.load_teacher("rdkit-descriptors").batch_size


def test_a_folder_of_a_teachers_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`molmv teachers embed` makes such folders."""
    (tmp_path / "rdkit-descriptors").mkdir()
    monkeypatch.chdir(tmp_path)
    assert models.load_embedder("rdkit-descriptors").name == "rdkit-descriptors"


def test_a_folder_that_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        models.load_embedder(str(tmp_path))


def test_students_are_the_folders_with_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "student_folder", lambda: tmp_path)
    for name in ("b", "a", "draft"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "config.json").write_text("{}")
    assert models.student_names() == ("a", "b")

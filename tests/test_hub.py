"""Students as model repositories: a round trip through folders, and through a hub that is played."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest

import molmv
from molmv.errors import CheckpointError, InputError, OutputError
from molmv.hub import from_pretrained, push_to_hub, save_pretrained
from molmv.student.checkpoint import load_checkpoint, save_checkpoint
from molmv.student.embed import Student

FILES = {"config.json", "model.safetensors", "README.md"}
SMILES = ["CCO", "c1ccccc1O"]


def test_round_trip(tmp_path):
    folder = save_pretrained("molmv-small", tmp_path / "mine")
    assert {path.name for path in folder.iterdir()} == FILES
    again = from_pretrained(folder)
    assert again.digest == molmv.load_student("molmv-small").digest
    np.testing.assert_array_equal(molmv.featurize(SMILES, again).X, molmv.featurize(SMILES).X)
    twice = save_pretrained(again, tmp_path / "twice")
    assert all((twice / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    with pytest.raises(OutputError, match="holds a student"):
        save_pretrained(again, twice)
    save_pretrained(again, twice, overwrite=True)
    save_pretrained(twice, twice, overwrite=True)  # onto itself
    assert from_pretrained(twice).digest == again.digest


def test_card(tmp_path):
    released = huggingface_hub.ModelCard.load(save_pretrained("molmv-small", tmp_path / "a") / "README.md")
    assert released.data.library_name == "molmv"
    (tmp_path / "a" / "README.md").unlink()
    made = huggingface_hub.ModelCard.load(save_pretrained(tmp_path / "a", tmp_path / "b") / "README.md")
    assert made.data.library_name == "molmv"
    assert "| minimol | MIT (weights), Apache-2.0 (package) |" in made.text
    assert molmv.load_student("molmv-small").digest in made.text


def test_card_names_the_teachers_of_an_earlier_training(tmp_path, root):
    checkpoint = load_checkpoint(root / "students" / "molmv-small")
    now = {"teachers": {"mine": {"licence": "BSD-3-Clause"}}, "earlier": checkpoint.provenance}
    save_checkpoint(dataclasses.replace(checkpoint, provenance=now), tmp_path / "on")
    text = (save_pretrained(tmp_path / "on", tmp_path / "repository") / "README.md").read_text("utf-8")
    assert "| mine | BSD-3-Clause |" in text
    assert "| minimol | MIT (weights), Apache-2.0 (package) |" in text


def test_weights_can_be_pinned(tmp_path):
    folder = save_pretrained("molmv-small", tmp_path / "mine")
    assert from_pretrained(folder, sha256=molmv.load_student("molmv-small").digest).dim == 512
    with pytest.raises(CheckpointError, match="other weights"):
        from_pretrained(folder, sha256="0" * 64)
    (folder / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(CheckpointError, match="was changed"):
        from_pretrained(folder)


def test_what_is_no_student(tmp_path, root):
    with pytest.raises(InputError, match="no folder"):
        save_pretrained(Student(load_checkpoint(root / "students" / "molmv-small")), tmp_path / "mine")
    with pytest.raises(InputError, match="can be had from the hub"):
        from_pretrained("nobody/nothing", local_files_only=True, cache_dir=tmp_path)
    with pytest.raises(InputError, match="can be had from the hub"):
        from_pretrained("not a name")


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """What the hub is asked, done with folders: there is no network in tests."""
    place = tmp_path / "hub"

    class Api:
        def __init__(self, token=None, library_name=None):
            self.token = token

        def create_repo(self, repo_id, *, private, exist_ok):
            if self.token != "right":
                raise huggingface_hub.errors.LocalTokenNotFoundError("no token")
            (place / repo_id).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, place / repo_id, dirs_exist_ok=True)
            return SimpleNamespace(commit_url=f"hub:{repo_id}")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **how: str(place / repo))
    return place


def test_through_the_hub(hub):
    assert push_to_hub("molmv-small", "me/small", token="right") == "hub:me/small"
    assert {path.name for path in (hub / "me" / "small").iterdir()} == FILES
    assert from_pretrained("me/small", revision="main").digest == molmv.load_student("molmv-small").digest
    with pytest.raises(OutputError, match=r"did not take me/small.*token"):
        push_to_hub("molmv-small", "me/small")

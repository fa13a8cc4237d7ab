"""A student turned onto its main directions says what it said, in fewer numbers."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from molmv.models import load_student
from molmv.student.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from molmv.student.gine import make_encoder
from molmv.trial_molecules import trial_molecules


@pytest.mark.parametrize("hidden", [0, 12])
def test_distances_stay_where_all_directions_are_kept(root: Path, tmp_path: Path, monkeypatch, hidden: int):
    monkeypatch.syspath_prepend(str(root / "configs"))
    turn = importlib.import_module("turn").turn
    sizes = {"layers": 2, "width": 16, "embedding": 10, "hidden": hidden}
    network = make_encoder(sizes)
    save_checkpoint(Checkpoint("tiny", "gine", sizes, {}, network.state_dict()), tmp_path / "before")
    smiles = trial_molecules()[:120]
    (tmp_path / "corpus.smi").write_text("\n".join(smiles))
    turn(tmp_path / "before", tmp_path / "corpus.smi", 10, tmp_path / "all")
    turn(tmp_path / "before", tmp_path / "corpus.smi", 4, tmp_path / "few")
    vectors = {}
    for name in ("before", "all", "few"):
        student = load_student(tmp_path / name, device="cpu")
        vectors[name] = student.embed(student.screen(smiles)).astype(np.float64)
    assert vectors["few"].shape[1] == load_checkpoint(tmp_path / "few").config["embedding"] == 4
    between = {name: np.linalg.norm(v[:, None] - v, axis=2) for name, v in vectors.items()}
    np.testing.assert_allclose(between["all"], between["before"], atol=1e-4)
    assert (between["few"] <= between["before"] + 1e-4).all()
    kept = load_checkpoint(tmp_path / "few").provenance["turned"]["variance_kept"]
    assert kept == pytest.approx(vectors["few"].var(0).sum() / vectors["before"].var(0).sum(), abs=1e-3)

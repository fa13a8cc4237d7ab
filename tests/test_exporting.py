"""Exported students: the same numbers as torch for every kind of network, and no torch where they run."""

import json
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import molmv
from molmv.cli import app
from molmv.errors import CheckpointError, OutputError
from molmv.exporting import TOLERANCE, export_onnx
from molmv.molecules import canonicalise, screen
from molmv.onnx_student import OnnxStudent
from molmv.student.checkpoint import Checkpoint
from molmv.student.embed import Student
from molmv.student.gine import GineConfig, make_encoder
from molmv.trial_molecules import trial_molecules

SMALL = {"layers": 2, "width": 16, "embedding": 8}
NETWORKS = [
    {"pooling": ["mean", "sum", "max"]},
    {"pooling": ["max"], "readout": "all", "hidden": 12},
]
ROOT = Path(__file__).resolve().parent.parent


def student(sizes: dict) -> Student:
    torch.manual_seed(0)
    encoder = make_encoder(sizes)
    return Student(Checkpoint("tiny", "gine", sizes, {"made": "here"}, encoder.state_dict(), "0" * 64), device="cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "student.onnx"
    run = CliRunner().invoke(app, ["export", "molmv-small", "-o", str(path), "--verify"])
    assert run.exit_code == 0, run.output
    assert "verified on 5,000 molecules" in run.output
    return path


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_every_network_exports(options, tmp_path):
    sizes = SMALL | {name: value for name, value in options.items() if name in GineConfig.__dataclass_fields__}
    ours = student(sizes)
    smiles = trial_molecules()[:200]
    found = export_onnx(ours, tmp_path / "tiny.onnx", smiles)
    assert found["molecules"] == 200
    assert found["max_abs_difference"] <= TOLERANCE
    for n in (1, 2, 65):  # other numbers of molecules, atoms and bonds than those that it was exported with
        expected = ours.embed(ours.screen(smiles[:n]))
        np.testing.assert_allclose(OnnxStudent(tmp_path / "tiny.onnx")(smiles[:n]), expected, atol=1e-5)
    methane = OnnxStudent(tmp_path / "tiny.onnx")(["C"])  # no bonds at all
    np.testing.assert_allclose(methane, ours.embed(ours.screen(["C"])), atol=1e-5)


def test_parity_on_a_real_library(exported, library):
    smiles = molmv.featurize(library).smiles
    ours, theirs = molmv.featurize(smiles), molmv.featurize(smiles, OnnxStudent(exported))
    assert ours.status == theirs.status
    np.testing.assert_allclose(ours.X, theirs.X, atol=TOLERANCE)


def test_threads_do_not_lose_sums(exported):
    smiles = trial_molecules()[:1000]
    np.testing.assert_allclose(
        OnnxStudent(exported, threads=4)(smiles), OnnxStudent(exported, threads=1)(smiles), atol=1e-5
    )


def test_metadata_says_what_was_found(exported):
    metadata = OnnxStudent(exported).metadata
    assert metadata["parity"]["molecules"] == 5000
    assert metadata["parity"]["max_abs_difference"] <= metadata["parity"]["tolerance"] == 1e-4
    assert metadata["student"] == molmv.load_student("molmv-small").digest
    assert metadata["provenance"]["teachers"]
    plain = onnxruntime.InferenceSession(str(exported)).get_modelmeta().custom_metadata_map
    assert json.loads(plain["molmv"]) == metadata


def test_by_its_path_it_is_a_model(exported):
    result = molmv.featurize(["CCO", "not a molecule"], model=str(exported))
    assert result.status == ["ok", "invalid"]


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("molmv.exporting.TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="differ by"):
        export_onnx(student(SMALL), tmp_path / "tiny.onnx", ["CCO"])
    assert not list(tmp_path.iterdir())


def test_refuses_other_files(tmp_path, exported):
    with pytest.raises(OutputError, match="exists"):
        export_onnx(student(SMALL), exported)
    (tmp_path / "text.onnx").write_text("no model")
    for wrong in (tmp_path / "text.onnx", tmp_path / "nothing.onnx"):
        with pytest.raises(CheckpointError, match="cannot be opened"):
            OnnxStudent(wrong)


def test_trial_molecules_are_different_molecules():
    rows = screen(trial_molecules())
    assert len(set(canonicalise(rows))) == len(rows) == 5000
    assert rows.valid.all()


def test_runs_where_there_is_no_torch(exported, tmp_path):
    """A bare environment with these packages and nothing else, linked from this one: no network in tests."""
    venv.create(tmp_path / "bare", with_pip=False)
    site = next((tmp_path / "bare").glob("lib/python*/site-packages"), tmp_path / "bare" / "Lib" / "site-packages")
    for name in ("numpy", "rdkit", "onnxruntime", "jaxtyping", "wadler_lindig", "protobuf", "flatbuffers", "packaging"):
        files = distribution(name).files
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).symlink_to(distribution(name).locate_file(top))
    (site / "molmv").symlink_to(ROOT / "molmv")
    code = f"""
import importlib.util
assert not any(importlib.util.find_spec(name) for name in ("torch", "pandas", "pyarrow", "cuik_molmaker"))
from molmv.onnx_student import OnnxStudent
print(*OnnxStudent({str(exported)!r})(["CCO", "not a molecule"])[:, 0])
"""
    python = tmp_path / "bare" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    first, second = map(float, run.stdout.split())
    assert first == pytest.approx(molmv.featurize(["CCO"]).X[0, 0], abs=1e-5)
    assert np.isnan(second)

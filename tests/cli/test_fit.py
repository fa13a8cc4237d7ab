"""`molmv fit` and `molmv predict`, from one to the other, and what they say of bad input."""

import csv
import re
import socket
from pathlib import Path

import pytest
from conftest import Molmv

pytest.importorskip("sklearn")
pytest.importorskip("skfp")

CHEAP = ("--split", "random", "--head", "linear")


@pytest.fixture
def assay(library: Path, tmp_path: Path) -> Path:
    """120 rows of the library with the length of the SMILES as value; some of the rows hold no molecule."""
    with library.open() as file:
        smiles = [line["smiles"] for line in csv.DictReader(file)][:120]
    path = tmp_path / "assay.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "id", "length"), *((s, f"m{i}", len(s)) for i, s in enumerate(smiles))])
    return path


def test_fit_then_predict(molmv_cli: Molmv, assay: Path):
    run = molmv_cli("fit", assay, "--target", "length", *CHEAP, "--no-mlflow")
    assert run.exit_code == 0
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert lines[0] == ["model", "cv rmse", "test rmse", "test mae", "test r2", "test spearman"]
    assert [line[0] for line in lines[1:]] == ["linear *", "ecfp + random forest", "training mean"]
    assert "-> assay_length; next: molmv predict assay_length new.csv" in run.stderr
    again = molmv_cli("predict", "assay_length", assay, "--id-column", "id", "-o", "out.csv")
    assert again.exit_code == 0
    with Path("out.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [f"m{i}" for i in range(120)]
    good = [row for row in found if row["status"] == "ok"]
    assert len(good) > 100
    assert all(float(row["lower"]) <= float(row["prediction"]) <= float(row["upper"]) for row in good)


def test_a_server_that_nobody_answers_costs_a_warning(molmv_cli: Molmv, assay: Path, tmp_path: Path):
    mlflow = pytest.importorskip("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    run = molmv_cli("fit", assay, "-t", "length", *CHEAP, "--mlflow", address, "-o", "model")
    assert run.exit_code == 0
    assert f"warning: MLflow at {address} did not take the run" in run.stderr
    (run_id,) = re.findall(r"MLflow run (\w+) at sqlite", run.stderr)
    local = f"sqlite:///{Path('model/mlruns.db').resolve()}"
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'elsewhere.db'}")  # as a training in the same process does
    try:
        assert molmv_cli("predict", run_id, assay, "--mlflow", local, "-o", "out.csv").exit_code == 0
        assert "elsewhere" in mlflow.get_tracking_uri()
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "assay.csv", "-t", "pIC50"), "no column 'pIC50'; its columns are: smiles, id, length"),
        (("fit", "assay.csv", "-t", "id"), "column 'id' holds no number in row 0 ('m0')"),
        (("fit", "none.csv", "-t", "x"), "There is no file none.csv"),
        (("predict", "nowhere", "assay.csv"), "There is no folder nowhere"),
        (("predict", ".", "assay.csv"), "is not a predictor"),
    ],
)
def test_bad_input_is_one_line(molmv_cli: Molmv, assay: Path, arguments: tuple[str, ...], said: str):
    run = molmv_cli(*arguments)
    assert run.exit_code == 2
    assert said in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert run.stdout == ""
    assert [path.name for path in Path().iterdir()] == ["assay.csv"]

"""A fit arrives in a real MLflow server, and comes back from it; without one it is kept beside its files."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sklearn")
pytest.importorskip("skfp")

from mlflow import MlflowClient

from molmv.errors import InputError
from molmv.predicting import FitResult, fit, load_predictor
from molmv.tracking.runs import FinishedRun, fetch_predictor, log_run

SMILES = ["CCO", None, "C(C", "c1ccccc1O"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow server` on the loopback address, with a SQLite file behind it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "art")]
    with (folder / "log").open("w") as log:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # processes that nobody needs here
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 300
        while not answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def assay(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = library.read_text().splitlines()
    column = lines[0].split(",").index("smiles")
    smiles = [line.split(",")[column] for line in lines[1:120]]
    path = tmp_path_factory.mktemp("assay") / "assay.csv"
    path.write_text("smiles,length\n" + "".join(f"{text},{len(text)}\n" for text in smiles))
    return path


@pytest.fixture(scope="module")
def result(assay: Path) -> FitResult:
    return fit(assay, "length", "maccs", split="random", head="linear", out=assay.parent / "model", mlflow=None)


def predictor(result: FitResult) -> Path:
    return result.folder / "predictor"


@pytest.mark.slow
def test_a_fit_arrives_in_a_server(server: str, assay: Path, tmp_path: Path):
    """The whole of it, through `molmv.fit`: parameters, metrics, split, figures, environment, model."""
    import hashlib

    result = fit(assay, "length", "maccs", split="random", head="linear", out=tmp_path / "model", mlflow=server)
    assert result.run is not None
    assert result.run.uri == server
    client = MlflowClient(server)
    run = client.get_run(result.run.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["data.sha256"] == hashlib.sha256(assay.read_bytes()).hexdigest()
    assert run.data.params["head.kind"] == "linear"
    assert run.data.metrics["test.rmse"] == pytest.approx(result.figures["test.rmse"])
    assert "models.ecfp-random-forest.rmse" in run.data.metrics
    names = {file.path for file in client.list_artifacts(result.run.run_id)}
    assert {"rows.csv", "heads.csv", "metrics.json", "environment.json", "notes.txt"} <= names

    folder = fetch_predictor(result.run.run_id, tmp_path / "fetched", server)
    again = load_predictor(folder).predict(SMILES)
    np.testing.assert_allclose(again.prediction, result.predictor.predict(SMILES).prediction, atol=1e-6)
    assert not [path for path in folder.parent.parent.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not (tmp_path / "model" / "mlruns.db").exists()


def test_the_model_is_a_pyfunc_with_a_signature(result: FitResult, tmp_path: Path):
    """As anybody loads it who knows MLflow and not molmv."""
    import mlflow
    import pandas

    from molmv.tracking.model import save_model

    save_model(predictor(result), tmp_path / "model")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert loaded.metadata.get_input_schema().input_names() == ["smiles"]
    outputs = loaded.metadata.get_output_schema().input_names()
    found = loaded.predict(pandas.DataFrame({"smiles": SMILES}))
    assert list(found.columns) == outputs
    assert {"prediction", "lower", "upper", "in_domain"} < set(outputs)
    assert found["status"].tolist() == ["ok", "empty", "invalid", "ok"]
    np.testing.assert_allclose(found["prediction"], result.predictor.predict(SMILES).prediction, atol=1e-6)
    files = [path.name for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert "python_model.pkl" not in files
    assert "pyfunc_script.py" in files


def test_without_a_server_the_run_is_kept_beside_its_files(result: FitResult, tmp_path: Path):
    shutil.copytree(result.folder, tmp_path / "model")
    address = f"http://127.0.0.1:{free_port()}"
    run = FinishedRun("fits", "one", tmp_path / "model" / "report", {"a": {"b": 1}}, {"x": 0.5, "y": np.nan})
    unheard = rf"MLflow at {address} did not take the run .nobody answers.; logging into {tmp_path}"
    with pytest.warns(UserWarning, match=unheard):
        logged = log_run(run, address)
    assert logged is not None
    assert logged.uri == f"sqlite:///{tmp_path}/model/mlruns.db"
    client = MlflowClient(logged.uri)
    data = client.get_run(logged.run_id).data
    assert (data.params, data.metrics) == ({"a.b": "1"}, {"x": 0.5})
    assert "rows.csv" in {file.path for file in client.list_artifacts(logged.run_id)}
    assert (tmp_path / "model" / "mlartifacts").is_dir()
    with pytest.raises(InputError, match=r"No model '0+' can be had from MLflow"):
        fetch_predictor("0" * 32, tmp_path / "fetched", logged.uri)


def test_a_store_that_nobody_can_write_loses_nothing(result: FitResult, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    run = FinishedRun("fits", "one", result.folder / "report")
    with pytest.warns(UserWarning, match="the files are in"):
        assert log_run(run, "gopher://nowhere", fallback=tmp_path / "file") is None

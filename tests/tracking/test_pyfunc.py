"""Students as MLflow models: saved, logged, loaded, and served over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

import molmv
from molmv import pyfunc
from molmv.errors import InputError, UnknownNameError
from molmv.student.checkpoint import load_checkpoint
from molmv.student.embed import Student

SMILES = ["CCO", "not a molecule", "c1ccccc1O"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pyfunc") / "model"
    pyfunc.save_model("molmv-small", path)
    return path


def test_embeds_as_the_student_does(saved):
    found = pyfunc.load_model(saved).predict(pd.DataFrame({"smiles": SMILES}))
    expected = molmv.featurize(SMILES)
    assert found["status"].tolist() == expected.status == ["ok", "invalid", "ok"]
    assert found["reason"].tolist() == expected.reason
    assert found["embedding"][1] is None
    np.testing.assert_allclose(found["embedding"][2], expected.X[2], atol=1e-5)


def test_says_what_it_takes_and_needs(saved):
    model = yaml.safe_load((saved / "MLmodel").read_text())
    assert json.loads(model["signature"]["inputs"]) == [{"name": "smiles", "type": "string", "required": True}]
    assert [column["name"] for column in json.loads(model["signature"]["outputs"])] == ["status", "reason", "embedding"]
    assert "saved_input_example_info" in model
    needed = (saved / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in needed} >= {"molmv", "mlflow", "numpy", "rdkit", "torch"}
    assert all("==" in line for line in needed)
    assert not list(saved.rglob("*.pkl"))
    assert {path.name for path in (saved / "artifacts" / "student").iterdir()} == {
        "config.json", "model.safetensors", "README.md",
    }  # fmt: skip


def test_logged_to_the_active_run_and_registered():
    mlflow.set_experiment("students")
    with mlflow.start_run() as run:
        info = pyfunc.log_model("molmv-small", registered_model_name="small")
    assert info.run_id == run.info.run_id
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/student", "models:/small/1"):
        assert pyfunc.load_model(uri).predict(pd.DataFrame({"smiles": ["C"]}))["status"].tolist() == ["ok"]


def test_what_is_no_student(tmp_path, root):
    with pytest.raises(UnknownNameError):
        pyfunc.save_model("nothing", tmp_path / "model")
    with pytest.raises(InputError, match="no folder"):
        pyfunc.save_model(Student(load_checkpoint(root / "students" / "molmv-small")), tmp_path / "model")
    with pytest.raises(InputError, match="has no model"):
        pyfunc.load_model(tmp_path / "nowhere")


def test_served(saved, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "-p", str(port)]
    log = (tmp_path / "log").open("w")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--workers", "1"],
        stdout=log, stderr=log, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        answer = asked(
            f"http://127.0.0.1:{port}/invocations",
            {"dataframe_split": {"columns": ["smiles"], "data": [[s] for s in SMILES]}},
            server,
        )
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)
    rows = answer["predictions"]
    assert [row["status"] for row in rows] == ["ok", "invalid", "ok"]
    assert rows[1]["embedding"] is None
    np.testing.assert_allclose(rows[0]["embedding"], molmv.featurize(SMILES).X[0], atol=1e-5)


def asked(url: str, question: dict, server: subprocess.Popen, seconds: float = 120) -> dict:
    """The answer of a server that may still be starting."""
    request = urllib.request.Request(url, json.dumps(question).encode(), {"Content-Type": "application/json"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return json.load(direct.open(request, timeout=60))
        except urllib.error.HTTPError as error:
            pytest.fail(error.read().decode())
        except OSError:
            time.sleep(0.5)
    pytest.fail("the server did not start")

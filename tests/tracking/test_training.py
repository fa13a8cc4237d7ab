"""Runs arrive in MLflow, go on in the same run, and survive a store that is not there."""

import logging
import os
import socket
import time
import warnings
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("lightning")

from mlflow import MlflowClient

from molmv.tracking.training import training_logger


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store for all tests here: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns.db"


@pytest.fixture(scope="module")
def silent_server() -> str:
    """The address of a port that was just closed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def history(uri: str, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(uri).get_metric_history(run_id, metric)]


def test_run_is_found_in_the_store(uri: str, tmp_path: Path):
    parameters = {"seed": 3, "train": {"steps": 10, "clip": 1.0}, "teachers": ("a", "b")}
    logger = training_logger("distillations", "tiny", tmp_path, uri, parameters)
    for step, loss in ((5, 2.5), (10, 1.25)):
        logger.log_metrics({"held_out/nll/ecfp": loss}, step)
    logger.finalize("success")
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("distillations")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == logger.version == (tmp_path / "mlflow-run-id").read_text()
    assert (run.info.run_name, run.info.status) == ("tiny", "FINISHED")
    assert run.data.params == {"seed": "3", "train.steps": "10", "train.clip": "1.0", "teachers": "('a', 'b')"}
    assert history(uri, run.info.run_id, "held_out/nll/ecfp") == [(5, 2.5), (10, 1.25)]


def test_resumed_run_is_the_same_run(uri: str, tmp_path: Path):
    first = training_logger("resumed", "tiny", tmp_path, uri, {"seed": 3})
    first.log_metrics({"loss": 2.0}, 1)
    first.finalize("failed")
    second = training_logger("resumed", "tiny", tmp_path, uri, {"seed": 3})
    second.log_metrics({"loss": 1.0}, 2)
    second.finalize("success")
    assert second.version == first.version
    assert history(uri, first.version, "loss") == [(1, 2.0), (2, 1.0)]
    assert MlflowClient(uri).get_run(first.version).info.status == "FINISHED"


@pytest.mark.parametrize("lost", ["unknown", "deleted"])
def test_run_that_is_gone_is_begun_anew(uri: str, tmp_path: Path, lost: str):
    first = training_logger("gone", "tiny", tmp_path, uri)
    if lost == "deleted":
        MlflowClient(uri).delete_run(first.version)
    else:
        (tmp_path / "mlflow-run-id").write_text("0" * 32)
    second = training_logger("gone", "tiny", tmp_path, uri)
    second.log_metrics({"loss": 1.0}, 1)
    assert second.version not in (first.version, "0" * 32)
    assert history(uri, second.version, "loss") == [(1, 1.0)]


def test_address_in_the_environment(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    logger = training_logger("environment", "tiny", tmp_path)
    assert MlflowClient(uri).get_run(logger.version).info.run_name == "tiny"


def test_server_that_is_down_costs_seconds_and_the_run_is_kept_locally(tmp_path: Path, silent_server: str):
    settings = dict(os.environ)
    before = time.monotonic()
    with pytest.warns(UserWarning, match=rf"{silent_server} does not answer .* logging into {tmp_path}"):
        first = training_logger("down", "tiny", tmp_path, silent_server, {"seed": 3})
    assert time.monotonic() - before < 60  # most of it makes the tables of the local store; MLflow alone waits minutes
    first.log_metrics({"loss": 2.0}, 1)
    first.finalize("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # where it is known to be, nothing needs to be said
        second = training_logger("down", "tiny", tmp_path, silent_server, {"seed": 3})
    second.log_metrics({"loss": 1.0}, 2)
    local = f"sqlite:///{tmp_path}/mlruns.db"
    assert second.version == first.version
    assert history(local, first.version, "loss") == [(1, 2.0), (2, 1.0)]
    assert dict(os.environ) == settings


def test_address_that_is_none_is_no_end(tmp_path: Path):
    with pytest.warns(UserWarning, match="does not answer"):
        logger = training_logger("odd", "tiny", tmp_path, "gopher://nowhere")
    logger.log_metrics({"loss": 2.0}, 1)
    assert history(f"sqlite:///{tmp_path}/mlruns.db", logger.version, "loss") == [(1, 2.0)]


def test_run_that_goes_away_does_not_stop_a_training(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One warning, then silence for a while; what comes after the pause is logged again."""
    logger = training_logger("flaky", "tiny", tmp_path, uri)
    MlflowClient(uri).delete_run(logger.version)
    with pytest.warns(UserWarning, match="MLflow could not take log_metrics"):
        logger.log_metrics({"loss": 3.0}, 1)
    MlflowClient(uri).restore_run(logger.version)
    logger.log_metrics({"loss": 2.0}, 2)
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    logger.log_metrics({"loss": 1.0}, 3)
    assert history(uri, logger.version, "loss") == [(3, 1.0)]


def test_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Neither of the tables of a new database nor of a new experiment; and the levels of others stay."""
    levels = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
    uri = f"sqlite:///{tmp_path}/new.db"
    training_logger("quiet", "tiny", tmp_path, uri).finalize("success")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert {name: logging.getLogger(name).level for name in levels} == levels

"""`molmv distill`: what it prints, how it ends, and what it leaves behind."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_distillation import World, make_world
from typer.testing import Result

import molmv.distill
from molmv.models import load_student


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def write_config(world: World, folder: Path, **changes: str) -> Path:
    """A config in TOML; changes replace whole lines by key."""
    lines = f"""
name = "tiny"
output = {json.dumps(str(folder / "run"))}
teachers = ["real", "bits"]
[data]
corpus = {json.dumps(str(world.corpus))}
stores = {json.dumps(str(world.stores))}
held_out = 0.2
[student]
kind = "gine"
layers = 2
width = 16
embedding = 16
[loss]
hidden = 16
[train]
steps = 4
batch_size = 16
validate_every = 2
checkpoint_every = 2
device = "cpu"
""".splitlines()
    path = folder / "distill.toml"
    path.write_text("\n".join(changes.get(line.split(" = ")[0], line) for line in lines))
    return path


def test_whole_job_says_where_the_student_is_and_no_more(world: World, tmp_path: Path):
    """As a process of its own, with MLflow: nothing but the result on stdout, nothing on stderr."""
    config = write_config(world, tmp_path)
    command = [sys.executable, "-m", "molmv", "distill", str(config)]
    root = str(Path(molmv.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlruns.db"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{tmp_path / 'run' / 'student'}\n"
    assert load_student(run.stdout.strip()).dim == 16
    mlflow = pytest.importorskip("mlflow")
    run_id = (tmp_path / "run" / "mlflow-run-id").read_text()
    data = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"]).get_run(run_id).data
    assert data.params["train.steps"] == "4"
    assert {"held_out/loss", "held_out/nll/real", "held_out/r2/bits"} <= set(data.metrics)


def test_mlflow_can_be_left_out(world: World, tmp_path: Path, molmv_cli: Callable[..., Result]):
    result = molmv_cli("distill", write_config(world, tmp_path), "--no-mlflow", "-q")
    assert result.exit_code == 0
    assert not (tmp_path / "run" / "mlflow-run-id").exists()
    assert not (tmp_path / "mlruns.db").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": "stepz = 4"}, "unknown key 'stepz'. Did you mean 'steps'"),
        ({"steps": "steps = 0"}, "train.steps: expected more than 0; found 0"),
        ({"steps": "steps = "}, "not a TOML file"),
        ({"kind": "kind = 'gin'"}, "student.kind"),
        ({"teachers": "teachers = ['real', 'no-such']"}, "no-such"),
        ({"corpus": "corpus = 'no-such.csv'"}, "no-such.csv: cannot be read"),
        ({"batch_size": "batch_size = 1000"}, "train.batch_size"),
    ],
)
def test_errors_are_one_line_and_leave_no_run(
    world: World, tmp_path: Path, molmv_cli: Callable[..., Result], changes: dict, message: str
):
    result = molmv_cli("distill", write_config(world, tmp_path, **changes))
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error:")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_missing_config_is_named(tmp_path: Path, molmv_cli: Callable[..., Result]):
    result = molmv_cli("distill", tmp_path / "no-such.toml")
    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*no-such\.toml: cannot be read: .*\n", result.stderr)


def test_output_that_holds_a_run_wants_resume(world: World, tmp_path: Path, molmv_cli: Callable[..., Result]):
    config = write_config(world, tmp_path)
    first = molmv_cli("distill", config, "--no-mlflow")
    again = molmv_cli("distill", config, "--no-mlflow")
    assert (again.exit_code, again.stdout) == (2, "")
    assert re.fullmatch(r"error: .*run holds a run already\. Add --resume .*\n", again.stderr)
    resumed = molmv_cli("distill", config, "--no-mlflow", "--resume")
    assert (resumed.exit_code, resumed.stdout) == (0, first.stdout)


def test_ctrl_c_says_how_to_go_on(
    world: World, tmp_path: Path, molmv_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(molmv.distill, "distill", interrupted)
    config = write_config(world, tmp_path)
    result = molmv_cli("distill", config)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == f"interrupted; go on with: molmv distill {config} --resume\n"

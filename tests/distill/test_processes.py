"""Two processes train as one does; when one of them dies, the run says so and can go on."""

import csv
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_distillation import DROPOUT, Stopper, World, press_ctrl_c, terminate, weights

from molmv.distill import distill, processes
from molmv.distill.config import config_of
from molmv.distill.data import Batches, StoredTargets, open_stores
from molmv.distill.processes import Member
from molmv.errors import ConfigError, ProcessError

TWO = {"train": {"processes": 2}}


def curve(output: Path) -> dict[tuple[int, str], float]:
    """Everything that was logged, by step and name."""
    found = {}
    for path in sorted(output.glob("log/from-step-*/metrics.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                values = {key: value for key, value in row.items() if "/" in key and value}
                found |= {(int(row["step"]), key): float(value) for key, value in values.items()}
    return found


def assert_alike(one: Path, other: Path, tolerance: float = 1e-3) -> None:
    """Two runs have the same curves and weights up to rounding."""
    a, b = curve(one), curve(other)
    assert {step for step, _ in b} - {-1}
    assert b.keys() <= a.keys()
    for key in b:
        assert b[key] == pytest.approx(a[key], abs=tolerance, rel=tolerance), key
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(other)[name], tensor, rtol=tolerance, atol=tolerance)
    summaries = [json.loads((output / "summary.json").read_text()) for output in (one, other)]
    assert summaries[1] == pytest.approx(summaries[0], abs=tolerance, rel=tolerance)


@pytest.fixture(scope="module")
def shared(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of ``finished``, by two processes."""
    output = tmp_path_factory.mktemp("shared")
    assert distill(world.config(output, **DROPOUT, **TWO)) == output / "student"
    return output


def test_two_processes_are_one(finished: Path, shared: Path):
    assert curve(shared).keys() == curve(finished).keys()
    assert_alike(finished, shared)
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_resumed_by_two_processes(finished: Path, world: World, tmp_path: Path):
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    (output / "checkpoints" / "00000024.ckpt").unlink()
    shutil.rmtree(output / "student")
    distill(world.config(output, **DROPOUT, **TWO), resume=True)
    assert_alike(finished, output)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that a training starts; nobody waits for a dead one for long."""
    found: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            found.append(self)

    monkeypatch.setattr(processes.subprocess, "Popen", Recorded)
    monkeypatch.setattr(processes, "TIMEOUT", timedelta(minutes=2))
    return found


def test_a_process_that_dies(finished: Path, world: World, children: list[subprocess.Popen[str]], tmp_path: Path):
    output, killer = tmp_path / "run", Stopper(tmp_path, lambda: children[0].kill())
    with pytest.raises(ProcessError, match=r"Process 1 was killed by signal 9.*go on with --resume"):
        distill(world.config(output, **DROPOUT, **TWO), loggers=[killer])
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["00000008.ckpt"]
    distill(world.config(output, **DROPOUT), resume=True)
    assert_alike(finished, output)


@pytest.mark.parametrize("stop", [pytest.param(press_ctrl_c, marks=pytest.mark.slow), terminate])
def test_an_interrupt_ends_all_processes(
    stop: Callable[[], None], world: World, children: list[subprocess.Popen[str]], tmp_path: Path
):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        distill(world.config(tmp_path / "run", **TWO), loggers=[Stopper(tmp_path, stop)])
    assert children[0].poll() is not None
    assert not torch.distributed.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.slow
def test_what_a_process_says_before_it_ends(world: World, children: list[subprocess.Popen[str]], tmp_path: Path):
    code = "import sys; sys.stdin.readline(); sys.exit('no memory left')"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "COMMAND", ("-c", code))
        with pytest.raises(ProcessError, match=r"Process 1 ended with exit code 1 \(no memory left\)"):
            distill(world.config(tmp_path / "run", **TWO))


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_evenly(world: World, tmp_path: Path):
    """15 rows a step, and a last held-out batch that is smaller than the number of processes."""
    odd = {"batch_size": 15, "steps": 6}
    for name, count in (("one", 1), ("three", 3)):
        distill(world.config(tmp_path / name, train={**odd, "processes": count}))
    assert_alike(tmp_path / "one", tmp_path / "three")


def test_every_row_of_a_batch_is_taken_once(world: World):
    stores = open_stores(world.stores, ["real", "bits"])
    rows = np.arange(20)
    for count in (1, 2, 3, 7):
        parts = [Batches(Rows(), StoredTargets(stores), rows, 5, 0, Member(number, count)) for number in range(count)]
        batches = [next(iter(part)) for part in parts]
        whole = parts[0].rows_of_step(0)
        seen = [row for batch in batches for row in batch.inputs]
        assert seen[:5] == whole.tolist()
        assert all(not present.any() for batch in batches[5:] for present in batch.present.values())


class Rows:
    """Inputs that are their rows."""

    usable = np.ones(20, bool)

    def batch(self, rows: np.ndarray) -> list[int]:
        return rows.tolist()


def test_a_loss_that_cannot_be_shared_is_refused(world: World, tmp_path: Path):
    table = world.config(tmp_path, loss={"weights": "balanced"}, **TWO).as_dict()
    with pytest.raises(ConfigError, match=r"train\.processes: expected 1 with loss\.weights = balanced"):
        config_of(table, "distill.toml")
    assert world.config(tmp_path, **TWO).digest == world.config(tmp_path).digest

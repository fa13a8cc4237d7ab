"""The information report: a student that says the teacher is told from one of noise; runs are opened as trained."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_distillation import TEACHERS, World, make_world

from molmv.distill import distill
from molmv.distill.config import InformationConfig
from molmv.distill.data import Split, open_stores
from molmv.distill.finished import open_run
from molmv.distill.information import FILE, held_out_information, report, save_information
from molmv.errors import CheckpointError, StoreError


@pytest.fixture(scope="module")
def wide_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Enough molecules for a hundred held-out rows."""
    return make_world(tmp_path_factory.mktemp("world"), 700)


@pytest.fixture(scope="module")
def run(wide_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run")
    config = wide_world.config(output, information=InformationConfig(rows=0))
    distill(dataclasses.replace(config, data=dataclasses.replace(config.data, held_out=0.3)))
    assert not (output / FILE).exists()
    return output


class Told(torch.nn.Module):
    """A student that says a given vector of each row."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = torch.nn.Parameter(torch.from_numpy(vectors.astype(np.float32)), requires_grad=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.vectors[rows]


class RowNumbers:
    def __init__(self, count: int) -> None:
        self.usable = np.ones(count, dtype=bool)

    def batch(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows)


def test_a_student_that_says_the_teacher_holds_it_and_one_of_noise_holds_nothing(wide_world: World):
    stores = open_stores(wide_world.stores, ["real"])
    rows = np.random.default_rng(0).permutation(np.flatnonzero(wide_world.valid["real"]))
    split = Split(train=rows[:200], held_out=rows[200:])
    inputs = RowNumbers(len(wide_world.rows))
    knows = Told(wide_world.values["real"])
    noise = Told(np.random.default_rng(1).normal(size=(len(wide_world.rows), 10)))
    all_of_it = held_out_information(knows, inputs, stores, split, components=4)["real"]
    nothing = held_out_information(noise, inputs, stores, split, components=4)["real"]
    assert (all_of_it.components, all_of_it.rows) == (4, len(rows) - 200)
    assert all_of_it.most == pytest.approx(2 * math.log(5))
    assert all_of_it.information.nats > 0.6 * all_of_it.most
    assert abs(nothing.information.nats) < 0.25
    assert held_out_information(knows, inputs, stores, Split(rows[:200], rows[200:290])) == {}


def test_a_finished_run_is_opened_with_the_rows_it_was_trained_on(run: Path, wide_world: World):
    opened = open_run(run)
    train, held_out = set(opened.split.train), set(opened.split.held_out)
    assert not train & held_out
    assert train | held_out <= set(np.flatnonzero(wide_world.rows.valid))
    about = json.loads((run / "student" / "config.json").read_text())
    assert len(train) == about["provenance"]["corpus"]["rows"]
    expected = torch.load(max((run / "checkpoints").glob("*.ckpt")), weights_only=True)["state_dict"]
    for name, tensor in opened.network.state_dict().items():
        assert torch.equal(tensor, expected[f"student.{name}"])


def test_report_is_written(run: Path, tmp_path: Path):
    opened = open_run(run)
    calls = []
    found = held_out_information(
        opened.network, opened.inputs, opened.stores, opened.split, components=3, progress=lambda *c: calls.append(c)
    )
    assert calls[0] == (0, 0.0)
    assert calls[-1] == (3, 1.0)
    save_information(found, tmp_path)
    written = json.loads((tmp_path / FILE).read_text())
    assert written == report(found)
    assert set(written["teachers"]) == set(TEACHERS)
    for one in written["teachers"].values():
        assert one["low"] < one["nats"] < one["high"]
        assert one["components"] == 3
        assert 0 < one["share"] <= 1


def test_every_log_has_it(wide_world: World, tmp_path: Path):
    config = wide_world.config(tmp_path, information=InformationConfig(rows=150, components=2), train={"steps": 8})
    distill(dataclasses.replace(config, data=dataclasses.replace(config.data, held_out=0.3)))
    names = {f"held_out/information/{name}" for name in TEACHERS}
    with next((tmp_path / "log").glob("*/metrics.csv")).open(newline="") as file:
        logged = {key: row[key] for row in csv.DictReader(file) for key in names if row.get(key)}
    summary = json.loads((tmp_path / "summary.json").read_text())
    written = json.loads((tmp_path / FILE).read_text())["teachers"]
    for name in TEACHERS:
        assert float(logged[f"held_out/information/{name}"]) == pytest.approx(written[name]["nats"], abs=1e-4)
        assert summary[f"information/{name}"] == pytest.approx(written[name]["nats"], abs=1e-4)


def test_whether_it_is_estimated_is_no_other_run(wide_world: World, tmp_path: Path):
    first, second = (wide_world.config(tmp_path, information=InformationConfig(rows=n)) for n in (0, 500))
    assert first.digest == second.digest


def test_no_run_and_other_places(run: Path, tmp_path: Path, wide_world: World):
    with pytest.raises(CheckpointError, match="holds no finished run"):
        open_run(tmp_path)
    with pytest.raises(StoreError, match="not an embedding store"):
        open_run(run, stores=tmp_path)
    other = tmp_path / "other.smi"
    other.write_text("CCO\n")
    with pytest.raises(StoreError, match="was not embedded from"):
        open_run(run, corpus=other)

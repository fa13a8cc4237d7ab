"""A fresh student passes the inherited suite; impossible ones are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from molmv.errors import CheckpointError, InputError
from molmv.graphs import featurise
from molmv.models import load_student
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.embed import Student
from molmv.student.gine import make_encoder
from molmv.testing.student import MoleculeStudentSuite

SIZES = {"layers": 2, "width": 16, "embedding": 12}


def fresh(sizes: dict, **changes) -> Checkpoint:
    torch.manual_seed(0)
    whole = Checkpoint("tiny", "gine", sizes, {}, make_encoder(sizes).state_dict())
    return dataclasses.replace(whole, **changes)


class FreshStudentSuite(MoleculeStudentSuite):
    sizes = SIZES

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("student")
        save_checkpoint(fresh(cls.sizes), folder)
        return folder


class TestGineStudent(FreshStudentSuite):
    pass


class TestGineStudentOfAllLayers(FreshStudentSuite):
    sizes = {**SIZES, "readout": "all", "pooling": ["max"]}


def test_passes_are_limited_by_atoms(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("molmv.student.graph_runner.MAX_BATCH_ATOMS", 50)
    student = Student(fresh(SIZES), device="cpu", batch_size=1000)
    chains = ["C" * length for length in (60, *range(1, 30), 70)]
    graphs = featurise(student.screen(chains))
    passes = [graphs.sizes[start:stop].sum() for start, stop in student.runner._batches(graphs)]
    assert sum(passes) == sum(map(len, chains))
    assert sorted(size for size in passes if size > 50) == [60, 70]  # a pass holds at least one molecule
    X = student.embed(student.screen(chains))
    expected = student.embed(student.screen(chains[-1:]))[0]
    np.testing.assert_allclose(X[-1], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sound"}, "'sound'"),
        ({"config": {**SIZES, "width": 24}}, r"expected \(\d+, 24\), found \(\d+, 16\)"),
        ({"config": {**SIZES, "layers": 3}}, r"layers\.2"),
        ({"config": {**SIZES, "depth": 3}}, "unknown key 'depth'"),
        ({"config": {**SIZES, "pooling": ["median"]}}, "student.pooling"),
        ({"weights": {}}, "found nothing"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict, message: str):
    save_checkpoint(fresh(SIZES, **changes), tmp_path)
    with pytest.raises(CheckpointError, match=message):
        load_student(tmp_path)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_impossible_batch_size_is_refused(batch_size: int):
    with pytest.raises(InputError, match=str(batch_size)):
        Student(fresh(SIZES), batch_size=batch_size)


@pytest.mark.parametrize("device", ["abacus", "", "cuda:99", "meta"])
def test_missing_device_is_refused(device: str):
    with pytest.raises(InputError, match=device or "''"):
        Student(fresh(SIZES), device=device)

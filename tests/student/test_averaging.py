"""An average of students, as ``configs/average.py`` makes it."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from molmv.student.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from molmv.student.gine import GineConfig, GineEncoder


@pytest.fixture
def average(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(root / "configs"))
    return importlib.import_module("average").average


def checkpoint(seed: int, width: int = 8) -> Checkpoint:
    torch.manual_seed(seed)
    weights = GineEncoder(GineConfig(layers=1, width=width, embedding=4)).state_dict()
    for weight in weights.values():
        if weight.is_floating_point():  # running means and variances, too, differ
            weight.add_(torch.rand_like(weight))
    return Checkpoint(f"number-{seed}", "gine", {"width": width}, {"steps": seed}, weights, digest=f"{seed}" * 64)


def test_weights_lie_between_and_it_tells_of_whom(average, tmp_path: Path):
    students = [checkpoint(seed) for seed in (1, 2, 3)]
    made = average(students, [2, 1, 1], "mean")
    for key, weight in made.weights.items():
        one, two, three = (student.weights[key] for student in students)
        if weight.is_floating_point():
            torch.testing.assert_close(weight, 0.5 * one + 0.25 * two + 0.25 * three)
            assert weight.dtype == one.dtype
        else:
            assert torch.equal(weight, one)
    save_checkpoint(made, tmp_path)
    about = load_checkpoint(tmp_path)
    assert (about.name, about.provenance["steps"]) == ("mean", 1)
    assert about.provenance["averaged"] == [
        {"digest": "1" * 64, "share": 0.5},
        {"digest": "2" * 64, "share": 0.25},
        {"digest": "3" * 64, "share": 0.25},
    ]


def test_of_one_it_is_that_one(average):
    (student,) = [checkpoint(1)]
    for key, weight in average([student], [3.0], "same").weights.items():
        assert torch.equal(weight, student.weights[key])


def test_other_sizes_and_kinds_are_refused(average):
    for other in (checkpoint(2, width=16), replace(checkpoint(2), kind="text")):
        with pytest.raises(SystemExit, match="number-2 is not of the kind and sizes of number-1"):
            average([checkpoint(1), other], [1, 1], "none")

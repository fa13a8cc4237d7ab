"""A distillation from stores to a student, interrupted, resumed and refused."""

import csv
import dataclasses
import json
import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_distillation import DROPOUT, STUDENT, TEACHERS, World, assert_same, make_world, weights, write_stores

from molmv.distill import distill
from molmv.distill.data import split_rows
from molmv.errors import ConfigError, InputError, OutputError, StoreError
from molmv.models import load_student
from molmv.student.checkpoint import load_checkpoint


def test_loss_falls(finished: Path):
    (log,) = finished.glob("log/*/metrics.csv")
    with log.open(newline="") as file:
        losses = [float(row["held_out/loss"]) for row in csv.DictReader(file) if row["held_out/loss"]]
    assert len(losses) >= 4
    assert losses[-1] < losses[0] - 0.05


def test_summary_has_every_teacher(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    expected = {f"{what}/{name}" for what in ("nll", "r2") for name in TEACHERS}
    assert set(summary) == {"loss", "at_floor/real"} | expected  # bits and counts have no variance with a floor
    assert all(math.isfinite(value) for value in summary.values())


def test_student_embeds_and_knows_where_it_is_from(finished: Path, world: World):
    student = load_student(finished / "student", device="cpu")
    X = student.embed(student.screen(["CCO", "bad", "c1ccccc1"]))
    assert X.shape == (3, 16)
    assert np.isfinite(X).all(1).tolist() == [True, False, True]
    about = student.provenance
    assert about["teachers"] == {name: {"licence": "MIT"} for name in TEACHERS}
    assert about["corpus"]["rows"] == round(0.8 * world.rows.valid.sum())
    assert about["held_out"] == json.loads((finished / "summary.json").read_text())
    assert about["config"]["loss"]["teacher_dropout"] == 0.3


def test_checkpoint_names_all_sizes(finished: Path):
    """Also those that the config left to their defaults, which may change."""
    sizes = load_checkpoint(finished / "student").config
    assert sizes == {
        **{"layers": 2, "width": 16, "expansion": 2, "embedding": 16},
        **{"pooling": ["mean", "sum", "max"], "readout": "last", "hidden": 0},
    }


def test_same_seed_same_student(finished: Path, world: World, tmp_path: Path):
    distill(world.config(tmp_path, **DROPOUT))
    assert_same(finished, tmp_path)


def test_other_seed_other_student(finished: Path, world: World, tmp_path: Path):
    distill(world.config(tmp_path, seed=1, **DROPOUT))
    assert not torch.equal(*(load_file(o / STUDENT)["readout.weight"] for o in (finished, tmp_path)))


@pytest.mark.parametrize("kept", ["checkpoints", "student"])
def test_output_that_holds_a_run_is_refused(finished: Path, world: World, tmp_path: Path, kept: str):
    shutil.copytree(finished / kept, tmp_path / kept)
    with pytest.raises(OutputError, match="holds a run already"):
        distill(world.config(tmp_path, **DROPOUT))


def test_output_that_is_a_file_is_refused(world: World):
    with pytest.raises(OutputError, match="is a file"):
        distill(world.config(world.corpus))


def test_other_corpus_is_refused(fresh_world: World, tmp_path: Path):
    """Also one of as many rows: the stores would be about other molecules."""
    lines = fresh_world.corpus.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    fresh_world.corpus.write_text("\n".join(lines) + "\n")
    with pytest.raises(StoreError, match=r"was not embedded from .*corpus\.csv"):
        distill(fresh_world.config(tmp_path / "run"))


def test_missing_corpus_is_named(fresh_world: World, tmp_path: Path):
    fresh_world.corpus.unlink()
    with pytest.raises(InputError, match=r"corpus\.csv: cannot be read"):
        distill(fresh_world.config(tmp_path / "run"))


def test_stores_of_fewer_rows_are_refused(world: World, tmp_path: Path):
    few = make_world(tmp_path / "few", 60)
    few.corpus = world.corpus
    few.stores = tmp_path / "relabelled"
    write_stores(few)
    with pytest.raises(StoreError, match=r"has 63 rows, .* has 103"):
        distill(few.config(tmp_path / "run"))


def test_unseen_numbers_reach_no_weight(world: World, fresh_world: World, tmp_path: Path):
    """What stands in refused rows, and what teachers say of held-out ones, may be anything."""
    unseen = np.ones(len(world.rows), dtype=bool)
    unseen[split_rows(world.rows.valid & np.logical_or.reduce(list(world.valid.values())), 0.2, 0).train] = False
    for name, absurd in (("real", 1e30), ("bits", 1), ("counts", 255)):
        fresh_world.values[name][unseen | ~world.valid[name]] = absurd
    fresh_world.values["real"][~world.rows.valid] = np.nan
    fresh_world.stores = tmp_path / "poisoned"
    write_stores(fresh_world)
    short = {"steps": 8}
    distill(world.config(tmp_path / "clean", train=short))
    distill(fresh_world.config(tmp_path / "run", train=short))
    with pytest.raises(AssertionError):  # the poison is there: it shows in what is measured of held-out rows
        assert (tmp_path / "clean" / "summary.json").read_text() == (tmp_path / "run" / "summary.json").read_text()
    clean, poisoned = weights(tmp_path / "clean"), weights(tmp_path / "run")
    assert [name for name in clean if not torch.equal(clean[name], poisoned[name])] == []
    assert all(tensor.isfinite().all() for tensor in clean.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"batch_size": 1000}}, "1000 is more than the 80 rows"),
        ({"student": {"kind": "gin"}}, "student.kind: expected one of gine, .*, found 'gin'"),
        ({"student": {"kind": "gine", "width": 0}}, "student.width"),
        ({"student": {"kind": "gine", "wide": 8}}, "unknown key 'wide'"),
        ({"teachers": ("real", "no-such")}, "no-such"),
    ],
)
def test_what_does_not_fit_is_refused(world: World, tmp_path: Path, changes: dict, message: str):
    with pytest.raises((ConfigError, StoreError), match=message):
        distill(world.config(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"precision": "bf16"}},
        {"loss": {"objective": "mse"}},
        {"loss": {"objective": "gaussian"}},
        {"loss": {"objective": "cosine"}},
        {"loss": {"weights": "learnt", "noise": 0.0}},
        {"loss": {"weights": "balanced"}},
        {"loss": {"likelihoods": {"real": "student_t", "bits": "mse"}}},
        {"loss": {"objective": "cosine", "scaling": "identity"}},
        {"loss": {"weights": {"real": 1, "bits": 2.0, "counts": 0}}},
        {"student": {"kind": "gine", "layers": 1, "width": 16, "readout": "all"}},
    ],
    ids=str,
)
def test_other_objectives_and_precisions_run(world: World, tmp_path: Path, changes: dict):
    changes = {**changes, "train": {"steps": 4, **changes.get("train", {})}}
    student = load_student(distill(world.config(tmp_path, **changes)), device="cpu")
    assert np.isfinite(student.embed(student.screen(["CCO", "C"]))).all()


def test_first_rows_only(world: World, tmp_path: Path):
    config = world.config(tmp_path, train={"steps": 2})
    distill(dataclasses.replace(config, data=dataclasses.replace(config.data, rows=50)))
    about = load_checkpoint(tmp_path / "student").provenance
    assert about["corpus"]["rows"] == round(0.8 * (50 - 3))


def test_says_nothing(world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """No news of accelerators, no advertisement, no warning that is not about this run."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distill(world.config(tmp_path, train={"steps": 4, "validate_every": 2, "checkpoint_every": 2}))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_goes_on_from_another_student(finished: Path, world: World, tmp_path: Path):
    distill(world.config(tmp_path, train={"start": str(finished), "steps": 1, "learning_rate": 1e-9, "warmup": 1.0}))
    before, after = (load_file(folder / STUDENT) for folder in (finished, tmp_path))
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, atol=1e-7, rtol=0)
    about, earlier = (load_checkpoint(folder / "student") for folder in (tmp_path, finished))
    assert about.provenance["started_from"] == earlier.digest
    assert about.provenance["earlier"] == earlier.provenance


def test_linear_heads_begin_at_what_the_earlier_student_tells(world: World, tmp_path: Path):
    """After no training to speak of they tell more than heads of that training, on rows held out."""
    stand = {"steps": 1, "learning_rate": 1e-9, "warmup": 1.0}
    linear = {"depth": 0}
    distill(world.config(tmp_path / "first", loss=linear, train={"steps": 1}))
    distill(world.config(tmp_path / "anew", loss=linear, train=stand))
    distill(world.config(tmp_path / "on", loss=linear, train={"start": str(tmp_path / "first"), **stand}))
    anew, on = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("anew", "on"))
    for teacher in ("real", "bits"):
        assert on[f"r2/{teacher}"] > max(0.0, anew[f"r2/{teacher}"]) + 0.05
    assert on["nll/counts"] == pytest.approx(anew["nll/counts"], rel=0.2)  # counts do not know how


def test_keeps_a_share_of_the_earlier_weights(world: World, tmp_path: Path):
    """A quarter of the way back, with heads that fit it; the end of the training is still there to be resumed."""
    train = {"start": str(tmp_path / "first"), "steps": 12, "warmup": 0.0}
    linear = {"depth": 0}
    distill(world.config(tmp_path / "first", loss=linear, train={"steps": 12}))
    distill(world.config(tmp_path / "end", loss=linear, train=train))
    distill(world.config(tmp_path / "kept", loss=linear, train={**train, "keep": 0.25}))
    first, end, kept = (load_file(tmp_path / run / STUDENT) for run in ("first", "end", "kept"))
    assert any((end[name] - first[name]).abs().max() > 1e-3 for name in end)
    for name in end:
        torch.testing.assert_close(kept[name], 0.75 * end[name] + 0.25 * first[name])
    student = load_checkpoint(tmp_path / "kept" / "student")
    assert student.provenance["config"]["train"]["keep"] == 0.25
    summaries = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("first", "kept")]
    for teacher in ("real", "bits"):
        assert summaries[1][f"r2/{teacher}"] > summaries[0][f"r2/{teacher}"]
    distill(world.config(tmp_path / "kept", loss=linear, train=train), resume=True)
    assert_same(tmp_path / "kept", tmp_path / "end")


@pytest.mark.parametrize("depth", [0, 1])
def test_heads_of_an_average_are_fitted_to_it(world: World, tmp_path: Path, depth: int):
    """A student that hardly moved, with heads that hardly learnt: fitted, they tell what the embedding holds."""
    stand, shape = {"steps": 1, "learning_rate": 1e-2, "warmup": 1.0}, {"depth": depth}
    distill(world.config(tmp_path / "first", loss=shape, train={"steps": 1}))
    start = {"start": str(tmp_path / "first"), **stand}
    distill(world.config(tmp_path / "end", loss=shape, train=start))
    distill(world.config(tmp_path / "kept", loss=shape, train={**start, "keep": 0.999}))
    end, kept = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("end", "kept"))
    for teacher in TEACHERS:
        assert kept[f"nll/{teacher}"] < end[f"nll/{teacher}"]


def test_start_of_other_sizes_is_refused(finished: Path, world: World, tmp_path: Path):
    sizes = {"kind": "gine", "layers": 2, "width": 8, "embedding": 16}
    with pytest.raises(ConfigError, match=r"train\.start.*does not fit this student"):
        distill(world.config(tmp_path, train={"start": str(finished)}, student=sizes))


def test_ends_when_its_minutes_are_over(world: World, tmp_path: Path):
    distill(world.config(tmp_path, train={"steps": 1000, "minutes": 1e-9}))
    assert load_checkpoint(tmp_path / "student").provenance["steps"] == 1

"""Heads of a finished run, against the loss and the standardisers that the run ended with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_distillation import TEACHERS, World, make_world

import molmv
from molmv.density import DENSITIES
from molmv.distill import distill
from molmv.errors import CheckpointError, ConfigError, UnknownNameError
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.standardise import Standardiser
from molmv.student.heads import SPEC, TENSORS, Heads, save_heads

SMILES = ["CCO", "c1ccccc1O", "CC(", "CCN"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run")
    distill(world.config(output))
    return output


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def newest_module_state(run: Path) -> dict[str, torch.Tensor]:
    """What the training itself held at its last step: not written by the code under test."""
    path = max((run / "checkpoints").glob("*.ckpt"))
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("name", TEACHERS)
def test_prediction_is_the_heads_in_the_teachers_units(run: Path, world: World, name: str):
    student = molmv.load_student(run)
    found = student.predict_teacher(name, SMILES)
    state, i = newest_module_state(run), list(TEACHERS).index(name)
    standard = {k.rpartition(".")[2]: v for k, v in state.items() if k.startswith(f"standardisers.{i}.")}
    z = torch.from_numpy(molmv.featurize(SMILES, model=student).X[[0, 1, 3]])
    specs = {name: TeacherSpec(len(standard["kept"]), TEACHERS[name][0])}
    loss = MajorityVoteLoss(specs, 16, hidden=16, depth=1)
    own = {k.removeprefix("loss."): v for k, v in state.items() if f"teacher:{name}" in k}
    loss.load_state_dict(own)
    with torch.no_grad():
        q = loss.predict(name, z)
        mean, variance = q.mean, getattr(q, "clean", q).variance
    scale, centre = (standard[k] if len(standard[k]) else default for k, default in (("scale", 1.0), ("centre", 0.0)))
    dim = world.values[name].shape[1]
    expected = np.tile(standard["constant"].numpy(), (3, 1))
    spread = np.zeros((3, dim))
    expected[:, standard["kept"]] = mean * scale + centre
    spread[:, standard["kept"]] = variance.sqrt() * scale
    assert found.mean.shape == found.sd.shape == (4, dim)
    np.testing.assert_allclose(found.mean[[0, 1, 3]], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.sd[[0, 1, 3]], spread, rtol=1e-4, atol=1e-5)
    assert np.isnan(found.mean[2]).all()
    assert np.isnan(found.sd[2]).all()
    assert found.status == ["ok", "ok", "invalid", "ok"]
    assert found.reason[2]


def test_bits_are_probabilities(run: Path):
    found = molmv.load_student(run).predict_teacher("bits", ["CCO", "CCN"])
    assert ((found.mean >= 0) & (found.mean <= 1)).all()
    varying = found.sd > 0
    np.testing.assert_allclose(found.sd[varying], np.sqrt(found.mean * (1 - found.mean))[varying], rtol=1e-4)


def test_uncertainty_is_the_mean_predicted_variance_of_the_continuous_teacher(run: Path):
    student = molmv.load_student(run)
    found = student.uncertainty(molmv.featurize(SMILES, model=student).X)
    prediction = student.predict_teacher("real", SMILES)
    scale = load_file(run / TENSORS)["standardisers.0.scale"]
    kept = load_file(run / TENSORS)["standardisers.0.kept"]
    expected = ((prediction.sd[:, kept] / scale.numpy()) ** 2).mean(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.isnan(found).tolist() == [False, False, True, False]


def test_without_a_continuous_teacher_there_is_no_uncertainty(world: World, tmp_path: Path):
    distill(world.config(tmp_path, teachers=("bits",)))
    with pytest.raises(ConfigError, match="None of the heads"):
        molmv.load_student(tmp_path).uncertainty(np.zeros((2, 16), np.float32))


@pytest.mark.parametrize("objective", [name for name in DENSITIES if name != "power_spherical"])
def test_every_density_comes_back(tmp_path: Path, objective: str):
    torch.manual_seed(0)
    values = torch.poisson(torch.rand(200, 5) * 3)
    values = values.clamp(max=1) if "bernoulli" in objective else values
    standardiser = Standardiser(5, DENSITIES[objective].scaling).fit(values)
    loss = MajorityVoteLoss({"t": TeacherSpec(5, objective)}, 4, hidden=8, depth=1, noise=0.3)
    save_heads(tmp_path, loss, {"t": standardiser}, "student")
    z = torch.randn(6, 4)
    mean, sd = Heads(tmp_path, "student").predict("t", z)
    torch.testing.assert_close(mean, standardiser.inverse(loss.predict("t", z).mean.detach()))
    assert sd.isnan().all() == (objective in ("mse", "cosine", "smooth_l1_cosine"))


def test_a_whitened_teacher_has_the_spread_of_its_rotation(tmp_path: Path):
    """Against draws of the standardised values, brought back one by one."""
    torch.manual_seed(0)
    values = torch.randn(500, 4) @ torch.randn(4, 4)
    standardiser = Standardiser(4, "whiten").fit(values)
    loss = MajorityVoteLoss({"t": TeacherSpec(4)}, 3, hidden=8, depth=1, noise=0.3)
    save_heads(tmp_path, loss, {"t": standardiser}, "student")
    z = torch.randn(1, 3)
    _, sd = Heads(tmp_path, "student").predict("t", z)
    draws = standardiser.inverse(loss.predict("t", z).clean.sample((40_000,))[:, 0])
    torch.testing.assert_close(sd[0], draws.std(0), rtol=0.02, atol=0)


def test_heads_may_lie_beside_the_weights(copy: Path):
    for name in (SPEC, TENSORS):
        (copy / name).rename(copy / "student" / name)
    assert molmv.load_student(copy / "student").heads.teachers == tuple(TEACHERS)


def test_a_student_without_heads_says_where_they_are(copy: Path):
    (copy / SPEC).unlink()
    student = molmv.load_student(copy)
    with pytest.raises(CheckpointError, match=r"Student 'tiny' has no heads.*folder of the run"):
        student.predict_teacher("real", ["CCO"])
    with pytest.raises(CheckpointError, match="no heads"):
        molmv.load_student("molmv-small").uncertainty(np.zeros((1, 512), np.float32))


def test_an_unknown_teacher_lists_the_known(run: Path):
    with pytest.raises(UnknownNameError, match=r"'ecfp'.*real, bits, counts"):
        molmv.load_student(run).predict_teacher("ecfp", ["CCO"])


def test_damage_is_refused(copy: Path):
    spec, tensors = copy / SPEC, copy / TENSORS
    text, data = spec.read_text(), tensors.read_bytes()
    cases = {
        "was changed: its hash": lambda: spec.write_text(text.replace('"gaussian"', '"student_t"')),
        "is damaged": lambda: spec.write_text(text[:50]),
        "format 1": lambda: spec.write_text(json.dumps({"format": 2})),
        "its SHA-256 is": lambda: save_file({}, tensors),
        "cannot be read": lambda: tensors.unlink(),
    }
    for message, damage in cases.items():
        spec.write_text(text)
        tensors.write_bytes(data)
        damage()
        with pytest.raises(CheckpointError, match=message):
            _ = molmv.load_student(copy).heads


def test_heads_of_another_student_are_refused(run: Path):
    with pytest.raises(CheckpointError, match="belongs to another student"):
        Heads(run, "0" * 64)

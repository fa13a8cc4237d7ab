"""What is logged of held-out rows, against scikit-learn and against the loss of all rows at once."""

import dataclasses
import math
import warnings

import lightning
import numpy as np
import pytest
import torch
from tiny_distillation import SIZES, TEACHERS, World

from molmv.density import DENSITIES
from molmv.distill.data import Batches, StoredTargets, fit_standardiser, open_stores
from molmv.distill.module import DistillModule
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.student.gine import make_encoder
from molmv.student.inputs import read_corpus


def make_module(world: World, stores: dict, steps: int = 100, objective: str = "nll") -> DistillModule:
    torch.manual_seed(0)
    rows = np.flatnonzero(world.rows.valid)
    standardisers = {
        name: fit_standardiser(store, rows, DENSITIES[store.header.likelihood].scaling)
        for name, store in stores.items()
    }
    specs = {name: TeacherSpec(s.out_dim, stores[name].header.likelihood) for name, s in standardisers.items()}
    loss = MajorityVoteLoss(specs, 16, objective=objective, hidden=16, depth=1)
    train = world.config(world.corpus.parent, train={"steps": steps}).train
    student = make_encoder(SIZES)
    return DistillModule(student, loss, standardisers, train, "digest", 0)


def held_out(module: DistillModule, batches: Batches) -> dict[str, float]:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(accelerator="cpu", **quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = torch.utils.data.DataLoader(batches, batch_size=None)
        return trainer.validate(module, loader, verbose=False)[0]


@pytest.mark.parametrize("batch_size", [7, 1000])
@pytest.mark.parametrize("objective", ["nll", "mse"])
def test_numbers_are_those_of_all_rows_at_once(world: World, batch_size: int, objective: str):
    from sklearn.metrics import r2_score

    stores = open_stores(world.stores, list(TEACHERS))
    inputs, rows = read_corpus(world.corpus, SIZES), np.flatnonzero(world.rows.valid)
    module = make_module(world, stores, objective=objective)
    found = held_out(module, Batches(inputs, StoredTargets(stores), rows, batch_size, None))
    with torch.no_grad():
        (whole,) = Batches(inputs, StoredTargets(stores), rows, 1000, None)
        z, targets = module.student(whole.inputs), module.targets(whole)
        out = module.loss(z, targets, whole.present)
    for name in TEACHERS:
        present = whole.present[name]
        mean = module.loss.predict(name, z).mean.detach()
        expected = r2_score(targets[name][present], mean[present], multioutput="variance_weighted")
        assert found[f"held_out/r2/{name}"] == pytest.approx(expected, abs=1e-4)
        assert found[f"held_out/nll/{name}"] == pytest.approx(out.per_dimension[name].item(), abs=1e-4)


def test_teacher_without_held_out_rows_has_no_numbers(world: World):
    """And does not pull the others' towards zero."""
    stores = open_stores(world.stores, list(TEACHERS))
    rows = np.flatnonzero(world.rows.valid & ~world.valid["real"])
    assert len(rows) > 5
    found = held_out(
        make_module(world, stores), Batches(read_corpus(world.corpus, SIZES), StoredTargets(stores), rows, 3, None)
    )
    assert not {name for name in found if name.endswith("/real")}
    assert all(math.isfinite(value) for value in found.values())


def test_one_row_has_no_r2(world: World):
    stores = open_stores(world.stores, list(TEACHERS))
    row = np.flatnonzero(world.rows.valid & world.valid["bits"])[:1]
    found = held_out(
        make_module(world, stores), Batches(read_corpus(world.corpus, SIZES), StoredTargets(stores), row, 3, None)
    )
    assert "held_out/nll/bits" in found
    assert not {name for name in found if "r2" in name}


def test_share_of_variances_at_the_floor(world: World):
    """Of the continuous teacher only; half of its dimensions are made certain."""
    stores = open_stores(world.stores, list(TEACHERS))
    module = make_module(world, stores)
    batches = Batches(
        read_corpus(world.corpus, SIZES), StoredTargets(stores), np.flatnonzero(world.rows.valid), 7, None
    )
    assert held_out(module, batches)["held_out/at_floor/real"] == 0
    with torch.no_grad():
        module.loss.head("real").readout.bias[-5:] = -50.0
    found = held_out(module, batches)
    assert found["held_out/at_floor/real"] == pytest.approx(0.5)
    assert not {name for name in found if "at_floor" in name} - {"held_out/at_floor/real"}


def test_learning_rate_warms_up_and_decays(world: World):
    module = make_module(world, open_stores(world.stores, list(TEACHERS)), steps=100)
    found = module.configure_optimizers()
    optimiser, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    peak = module.settings.learning_rate
    warm = 5  # the default share of 100 steps
    assert rates[:warm] == pytest.approx([peak * (k + 1) / warm for k in range(warm)])
    assert rates[warm:] == pytest.approx([peak * (1 + math.cos(math.pi * k / 95)) / 2 for k in range(95)])


def test_only_matrices_decay_and_all_is_learnt(world: World):
    module = make_module(world, open_stores(world.stores, list(TEACHERS)))
    decaying, others = module.configure_optimizers()["optimizer"].param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (module.settings.weight_decay, 0)
    assert all(p.ndim > 1 for p in decaying["params"])
    assert all(p.ndim < 2 for p in others["params"])
    assert len(decaying["params"]) + len(others["params"]) == len(list(module.parameters()))


def test_missing_rows_change_no_gradient(world: World):
    """A teacher's rows that are not there may hold anything, NaN included."""
    stores = open_stores(world.stores, list(TEACHERS))
    module = make_module(world, stores)
    module.log_dict = lambda *args, **options: None
    (batch,) = Batches(
        read_corpus(world.corpus, SIZES), StoredTargets(stores), np.flatnonzero(world.rows.valid)[:40], 40, None
    )
    gradients = []
    for poison in (0.0, torch.nan, torch.inf, 1e30):
        for name, present in batch.present.items():
            assert not present.all()
            batch.targets[name][~present] = poison
        module.zero_grad()
        module.training_step(batch, 0).backward()
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    for poisoned in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], poisoned, strict=True))


def test_minutes_bring_the_rate_down(world: World, monkeypatch: pytest.MonkeyPatch):
    """Half of the time is over: half a cosine, however few the steps."""
    module = make_module(world, open_stores(world.stores, list(TEACHERS)))
    module.settings = dataclasses.replace(module.settings, steps=100_000, minutes=10.0, warmup=1e-6)
    factor, *_ = module.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas
    start = module._started
    for minutes, expected in ((0, 1.0), (5, 0.5), (10, 0.0), (11, 0.0)):
        monkeypatch.setattr("time.monotonic", lambda now=start + 60 * minutes: now)
        assert factor(1) == pytest.approx(expected, abs=1e-5)

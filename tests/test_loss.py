import math

import pytest
import torch
from torch import nn

from molmv.density import DENSITIES
from molmv.errors import ConfigError, ShapeError, UnknownNameError
from molmv.loss import MajorityVoteLoss, TeacherSpec, drop_teachers

TEACHERS = {
    "minimol": TeacherSpec(6),
    "bge-v1.5": TeacherSpec(3),
    "keys": TeacherSpec(16, "bernoulli"),
    "counts": TeacherSpec(5, "count"),
}
ROWS, EMBEDDING = 12, 7


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make(**options):
    return MajorityVoteLoss(TEACHERS, EMBEDDING, **{"hidden": 8, **options})


def batch():
    return torch.randn(ROWS, EMBEDDING), {
        "minimol": torch.randn(ROWS, 6),
        "bge-v1.5": torch.randn(ROWS, 3, dtype=torch.float64),
        "keys": torch.randint(0, 2, (ROWS, 16), dtype=torch.uint8),
        "counts": torch.randint(0, 9, (ROWS, 5), dtype=torch.int16),
    }


def gradients(loss):
    return {name: p.grad for name, p in loss.named_parameters()}


def test_drop_teachers_is_unbiased_and_leaves_one():
    for count, probability in ((1, 0.9), (3, 0.6)):
        factors = torch.stack([drop_teachers(count, probability, torch.device("cpu")) for _ in range(4000)])
        assert (factors > 0).any(1).all()
        error = factors.std(0) / math.sqrt(len(factors))
        assert ((factors.mean(0) - 1).abs() < 4.5 * error + 1e-6).all()


# --- the loss ---------------------------------------------------------------------------------


def test_total_is_the_weighted_sum_of_the_parts():
    z, targets = batch()
    out = make()(z, targets)
    assert list(out.per_dimension) == list(TEACHERS)
    torch.testing.assert_close(out.total.detach(), sum(out.per_dimension.values()))
    for name, spec in TEACHERS.items():
        torch.testing.assert_close(out.nats[name], out.per_dimension[name] * spec.dim)
        assert not out.nats[name].requires_grad


def test_each_part_is_the_mean_of_its_head():
    z, targets = batch()
    loss = make()
    out = loss(z, targets)
    bits = loss.predict("keys", z).log_prob(targets["keys"].float())
    torch.testing.assert_close(out.nats["keys"], -bits.mean().detach())
    values = loss.predict("minimol", z).expected_log_prob(targets["minimol"])
    torch.testing.assert_close(out.nats["minimol"], -values.mean().detach())


@pytest.mark.parametrize("objective", ["nll", "mse", "cosine", "smooth_l1_cosine"])
@pytest.mark.parametrize("weights", ["per_dimension", "uniform", "learnt", "balanced"])
def test_gradients_reach_everything_and_are_finite(objective, weights):
    z, targets = batch()
    z.requires_grad_()
    loss = make(objective=objective, weights=weights)
    loss(z, targets).total.backward()
    assert z.grad.abs().sum() > 0
    assert all(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients(loss).values())


@pytest.mark.parametrize("objective", ["nll", "mse", "cosine", "smooth_l1_cosine"])
def test_nan_rows_never_poison(objective):
    """Rows that are NaN give the loss and gradients of a batch without them."""
    z, targets = batch()
    holed = {name: t.float().clone() for name, t in targets.items()}
    for t in holed.values():
        t[8:] = torch.nan
    loss = make(objective=objective)
    found = loss(z, holed)
    found.total.backward()
    with_holes = gradients(loss)
    loss.zero_grad()
    whole = loss(z[:8], {name: t[:8] for name, t in targets.items()})
    whole.total.backward()
    torch.testing.assert_close(found.total, whole.total)
    torch.testing.assert_close(with_holes, gradients(loss))
    assert all(rows == 8 for rows in found.rows.values())


def test_present_masks_rows_of_one_teacher_only():
    z, targets = batch()
    present = torch.arange(ROWS) < 5
    out = make()(z, targets, {"keys": present})
    assert {name: rows.item() for name, rows in out.rows.items()} == {**dict.fromkeys(TEACHERS, ROWS), "keys": 5}


def test_an_absent_teacher_costs_nothing_and_gets_a_zero_gradient():
    z, targets = batch()
    loss = make()
    out = loss(z, targets, {"counts": torch.zeros(ROWS, dtype=torch.bool)})
    out.total.backward()
    assert out.per_dimension["counts"] == 0
    # Zero, not None: data-parallel training waits for a gradient of every parameter.
    assert all((p.grad == 0).all() for p in loss.head("counts").parameters())


def test_under_autocast_only_products_are_in_half_precision():
    z, targets = batch()
    loss = make()
    expected = loss(z.bfloat16(), targets).total
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(z.bfloat16(), targets).total
        expected_there = torch.stack([-q.log_prob(targets[n].float()).mean() for n, q in loss.distributions(z).items()])
    assert found.dtype == expected_there.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)


def test_training_beats_the_best_constant_prediction():
    """On targets that depend on z, every objective ends below the score of the best constant."""
    x = torch.randn(400, EMBEDDING)
    values = x @ torch.randn(EMBEDDING, 6) / math.sqrt(EMBEDDING)
    for objective, constant in (("nll", 0.5 * math.log(2 * math.pi * math.e * 1.25)), ("mse", 1.0), ("cosine", 1.0)):
        loss = MajorityVoteLoss({"t": TeacherSpec(6)}, EMBEDDING, objective=objective, hidden=32, depth=1)
        optimiser = torch.optim.Adam(loss.parameters(), lr=0.01)
        for _ in range(150):
            optimiser.zero_grad()
            out = loss(x, {"t": values})
            out.total.backward()
            optimiser.step()
        assert out.total.item() < 0.8 * constant


def test_little_is_kept_for_the_backward_pass():
    """At most six numbers for each of the batch x sum of dims, so that 8 x 2,048 dims at batch 4,096 fit in 2 GiB."""
    rows, dims = 32, [1024] * 4
    loss = MajorityVoteLoss({str(i): TeacherSpec(dim) for i, dim in enumerate(dims)}, 16, hidden=16)
    own = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = loss(torch.randn(rows, 16), {str(i): torch.randn(rows, dim) for i, dim in enumerate(dims)})
    out.total.backward()
    assert sum(kept.values()) <= 6 * rows * sum(dims) * 4


# --- weights ----------------------------------------------------------------------------------


def test_uniform_weighs_every_nat_alike():
    z, targets = batch()
    out = make(weights="uniform")(z, targets)
    mean_dim = sum(spec.dim for spec in TEACHERS.values()) / len(TEACHERS)
    torch.testing.assert_close(out.total.detach(), sum(out.nats.values()) / mean_dim)


def test_given_weights_are_used_by_name():
    z, targets = batch()
    given_weights = {"counts": 3.0, "keys": 0.0, "bge-v1.5": 1.0, "minimol": 0.5}
    out = make(weights=given_weights)(z, targets)
    expected = sum(weight * out.per_dimension[name] for name, weight in given_weights.items())
    torch.testing.assert_close(out.total.detach(), expected)
    assert {name: w.item() for name, w in out.weights.items()} == given_weights


def test_learnt_weights_favour_what_is_learnt_well_within_bounds():
    """The optimum of w L - log w is w = 1 / L; a negative likelihood runs into the bound, not to infinity."""
    loss = MajorityVoteLoss({"sharp": TeacherSpec(2), "wide": TeacherSpec(2)}, 1, noise=0.0, depth=0, weights="learnt")
    for name, scale in (("sharp", -3.0), ("wide", 5.0)):
        head = loss.head(name)
        nn.init.zeros_(head.readout.weight)
        with torch.no_grad():
            head.readout.bias.copy_(torch.tensor([0.0, 0.0, scale, scale]))
    optimiser = torch.optim.Adam([loss.raw_weights], lr=0.05)
    for _ in range(2000):
        optimiser.zero_grad()
        out = loss(torch.zeros(3, 1), {"sharp": torch.zeros(3, 2), "wide": torch.zeros(3, 2)})
        out.total.backward()
        optimiser.step()
    assert out.per_dimension["sharp"] < 0
    assert 9 < out.weights["sharp"].item() <= 10
    assert out.weights["wide"].item() == pytest.approx(1 / out.per_dimension["wide"].item(), rel=1e-2)


def test_teacher_dropout_acts_in_training_only():
    z, targets = batch()
    loss = make(teacher_dropout=0.6)
    dropped = [any(w == 0 for w in loss(z, targets).weights.values()) for _ in range(20)]
    assert any(dropped)
    loss.eval()
    assert all(w == 1 for w in loss(z, targets).weights.values())


# --- wrong input ------------------------------------------------------------------------------


def test_wrong_names():
    z, targets = batch()
    loss = make()
    with pytest.raises(UnknownNameError, match=r"No teacher 'x' in this loss\. It has: minimol, bge"):
        loss(z, {**targets, "x": z})
    with pytest.raises(UnknownNameError, match="none for 'counts'"):
        loss(z, {name: t for name, t in targets.items() if name != "counts"})
    with pytest.raises(UnknownNameError, match="No teacher 'x'"):
        loss(z, targets, {"x": torch.ones(ROWS, dtype=torch.bool)})
    with pytest.raises(UnknownNameError, match="No teacher 'x'"):
        loss.predict("x", z)


def test_wrong_shapes_show_both_sides():
    z, targets = batch()
    loss = make()
    with pytest.raises(ShapeError, match=r"\(12, 6\).*\(12, 1\)"):
        loss(z, {**targets, "minimol": torch.zeros(ROWS, 1)})
    with pytest.raises(ShapeError, match=r"\(12, 6\).*\(1, 6\)"):
        loss(z, {**targets, "minimol": torch.zeros(1, 6)})
    with pytest.raises(ShapeError, match=r"present of shape \(12,\).*present \(3,\)"):
        loss(z, targets, {"minimol": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ShapeError, match=r"\(batch, 7\), got \(12, 3\)"):
        loss(z[:, :3], targets)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"weights": "even"}, UnknownNameError),
        ({"weights": {"minimol": 1.0}}, ConfigError),
        ({"weights": dict.fromkeys(TEACHERS, -1.0)}, ConfigError),
        ({"objective": "l3"}, UnknownNameError),
        ({"noise": -1.0}, ConfigError),
        ({"teacher_dropout": 1.0}, ConfigError),
        ({"depth": -1}, ConfigError),
    ],
)
def test_wrong_options(options, error):
    with pytest.raises(error):
        make(**options)


def test_no_teacher():
    with pytest.raises(ConfigError, match="at least one teacher"):
        MajorityVoteLoss({}, 4)


@pytest.mark.parametrize("likelihood", DENSITIES)
def test_state_dict_round_trip(likelihood):
    teachers = {"a.b": TeacherSpec(4, likelihood), "keys": TeacherSpec(4, likelihood)}
    first, second = (MajorityVoteLoss(teachers, 3, hidden=8) for _ in range(2))
    second.load_state_dict(first.state_dict())
    z, targets = torch.randn(5, 3), torch.ones(5, 4)
    assert torch.equal(first.predict("a.b", z).log_prob(targets), second.predict("a.b", z).log_prob(targets))

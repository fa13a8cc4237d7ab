"""Every claim of docs/theory.md, by exact enumeration or quadrature. None of the bounds uses molmv's own code."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import xlogy

from molmv.density import DiagonalGaussian
from molmv.loss import MajorityVoteLoss, TeacherSpec

JOINTS = 5000


def conditional_entropy(joint):
    """H(T | S) in nats of a joint distribution p(t, s) with T along the first axis."""
    return -xlogy(joint, joint).sum() + xlogy(joint.sum(0), joint.sum(0)).sum()


def disagreement(joint):
    """Pr(T != best guess of T from S)."""
    return 1 - joint.max(0).sum()


def decide(joint, decision):
    """Joint of (decision(T), S)."""
    table = np.zeros((max(decision) + 1, joint.shape[1]))
    np.add.at(table, decision, joint)
    return table


def random_joints(count, seed=0):
    """Joints of 2 to 7 by 1 to 7 values, from nearly deterministic to nearly uniform, some with zeros."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        shape = rng.integers(2, 8), rng.integers(1, 8)
        joint = rng.dirichlet(np.full(shape[0] * shape[1], 10 ** rng.uniform(-2, 1))).reshape(shape)
        yield joint, rng


def test_bound_holds_for_every_decision_on_random_joints():
    gaps = []
    for joint, _ in random_joints(JOINTS):
        bound = 1 - math.exp(-conditional_entropy(joint))
        gaps.append(bound - disagreement(joint))
        assert gaps[-1] > -1e-12
        decisions = itertools.product(range(2), repeat=len(joint))
        for decision in itertools.islice(decisions, 1, 20):
            table = decide(joint, list(decision))
            own_bound = 1 - math.exp(-conditional_entropy(table))
            assert disagreement(table) <= own_bound + 1e-12
            assert own_bound <= bound + 1e-12
    # The joints test the bound: some come close to it and some do not.
    assert min(gaps) < 1e-3
    assert max(gaps) > 0.1


def test_bound_is_tight_for_uniform_conditionals():
    for values, students in itertools.product(range(1, 6), range(1, 5)):
        joint = np.zeros((values * students, students))
        for s in range(students):
            joint[s * values : (s + 1) * values, s] = 1 / (values * students)
        assert disagreement(joint) == pytest.approx(1 - math.exp(-conditional_entropy(joint)), abs=1e-12)


def test_bound_holds_for_any_head():
    for joint, rng in random_joints(JOINTS, seed=1):
        q = rng.dirichlet(np.full(len(joint), 10 ** rng.uniform(-1, 1)), size=joint.shape[1]).T + 1e-12
        nll = -(joint * np.log(q / q.sum(0))).sum()
        assert nll >= conditional_entropy(joint) - 1e-9
        assert disagreement(joint) <= 1 - math.exp(-nll) + 1e-9


def test_bound_holds_for_the_majority_vote():
    rng = np.random.default_rng(2)
    for _ in range(JOINTS // 5):
        # p(t1, t2, t3, s): three teachers of three values each.
        joint = rng.dirichlet(np.full(27 * 4, 10 ** rng.uniform(-2, 1))).reshape(3, 3, 3, 4)
        total = sum(conditional_entropy(joint.sum(tuple(axis for axis in range(3) if axis != k))) for k in range(3))
        decisions = rng.integers(0, 2, size=(3, 3))
        vote = [
            int(sum(decisions[k, t] for k, t in enumerate(values)) >= 2)
            for values in itertools.product(range(3), repeat=3)
        ]
        assert disagreement(decide(joint.reshape(27, 4), vote)) <= 1 - math.exp(-total) + 1e-12


def bayes(joint_y):
    """Best predictor of a binary Y from X, and by how much it is better than the other; joint is p(x, y)."""
    return joint_y.argmax(1), np.abs(joint_y[:, 0] - joint_y[:, 1])


def test_counterexample_with_ties():
    teacher_and_student = np.diag([0.5, 0.5])
    assert conditional_entropy(teacher_and_student) == pytest.approx(0)
    label = np.full((2, 2), 0.25)
    _, margin = bayes(label)
    assert (margin == 0).all()  # so that "always 0" and "always 1" are both Bayes-optimal
    always_zero, always_one = np.zeros(2, int), np.ones(2, int)
    disagree = sum(teacher_and_student[t, t] * (always_zero[t] != always_one[t]) for t in range(2))
    assert disagree == 1 > 1 - math.exp(-conditional_entropy(teacher_and_student))


def test_counterexample_without_ties():
    teacher = np.array([0.6, 0.4])
    label = teacher[:, None] * np.array([[0.49, 0.51], [1.0, 0.0]])
    teacher_says, teacher_margin = bayes(label)
    student_says, student_margin = bayes(label.sum(0, keepdims=True))
    assert min(teacher_margin.min(), student_margin.min()) > 0.01
    disagree = teacher[teacher_says != student_says[0]].sum()
    bound = 1 - math.exp(-conditional_entropy(teacher[:, None]))
    assert disagree == pytest.approx(0.6)
    assert bound == pytest.approx(0.49, abs=1e-3)
    assert disagree > bound
    # The same student does satisfy it when it guesses the teacher's decision, not the label.
    assert disagreement(decide(teacher[:, None], list(teacher_says))) <= bound


def test_differential_entropy_bounds_nothing():
    entropy = stats.uniform(0, 0.5).entropy()
    assert entropy == pytest.approx(-math.log(2))
    assert 1 - math.exp(-entropy) == pytest.approx(-1)
    for factor in (1e-3, 1e3):
        assert stats.norm(0, factor).entropy() == pytest.approx(stats.norm(0, 1).entropy() + math.log(factor))


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(("values", "weights"), [((-1, 1), (0.5, 0.5)), ((-3, 0, 1), (0.1, 0.3, 0.6))])
def test_noise_bounds_the_information(values, weights, noise):
    """T discrete and known to the student exactly: I(T; T + noise) by quadrature."""

    def density(x):
        return sum(w * stats.norm.pdf(x, v, noise) for v, w in zip(values, weights, strict=True))

    edge = max(map(abs, values)) + 12 * noise
    entropy, _ = integrate.quad(lambda x: -xlogy(density(x), density(x)), -edge, edge, limit=500, points=values)
    information = entropy - stats.norm(0, noise).entropy()
    mean = np.dot(values, weights)
    variance = np.dot((np.array(values) - mean) ** 2, weights)
    assert 0 < information <= stats.entropy(weights) + 1e-6
    assert information <= 0.5 * math.log(1 + variance / noise**2) + 1e-6


def test_best_scale_and_limits_of_the_noise():
    scale = torch.linspace(0.005, 3, 6000, dtype=torch.float64)[:, None]
    for noise, error in itertools.product((0.1, 0.5, 2.0), (0.05, 0.4, 1.5)):
        q = DiagonalGaussian(torch.zeros_like(scale), scale, noise)
        best = scale[q.expected_log_prob(torch.full_like(scale, error)).argmax()].item()
        assert best == pytest.approx(error, abs=1e-3)
    mean = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    for noise, expected in ((1e4, mean - value), (0.0, (mean - value) / 0.49)):
        q = DiagonalGaussian(mean, torch.full_like(mean, 0.7), noise)
        (gradient,) = torch.autograd.grad(-q.expected_log_prob(value).sum(), mean)
        torch.testing.assert_close(gradient * (noise**2 or 1), expected.detach(), rtol=1e-6, atol=0)


def test_errors_of_the_information_estimate():
    for joint, rng in random_joints(JOINTS // 5, seed=3):
        p = joint + 1e-9
        p /= p.sum()
        conditional = rng.dirichlet(np.ones(len(p)), size=p.shape[1]).T
        marginal = rng.dirichlet(np.ones(len(p)))
        estimate = (p * (np.log(conditional) - np.log(marginal)[:, None])).sum()
        information = stats.entropy(p.sum(1)) - conditional_entropy(p)
        true_conditional = p / p.sum(0)
        conditional_error = (p.sum(0) * stats.entropy(true_conditional, conditional)).sum()
        marginal_error = stats.entropy(p.sum(1), marginal)
        assert estimate == pytest.approx(information - conditional_error + marginal_error, abs=1e-8)


def test_a_function_of_the_teacher_holds_no_more():
    """Discrete S and T, every pairing of the values of T, with and without a noisy channel behind it."""

    def information(joint):
        return stats.entropy(joint.sum(1)) - conditional_entropy(joint)

    gaps = []
    for joint, rng in itertools.islice(random_joints(JOINTS, seed=7), 1000):
        whole = information(joint)
        view = decide(joint, list(rng.integers(0, 3, len(joint))))
        channel = rng.dirichlet(np.ones(4), size=len(view)).T
        noisy = channel @ view
        assert -1e-12 < information(noisy) <= information(view) + 1e-12
        assert information(view) <= whole + 1e-12
        gaps.append(whole - information(noisy))
    assert max(gaps) > 0.1


def test_trained_loss_is_the_conditional_entropy():
    """One bit and a student of three values: the trained head's nats are H(T | S), by enumeration."""
    torch.manual_seed(0)
    joint = np.array([[0.30, 0.10, 0.05], [0.05, 0.10, 0.40]])
    counts = torch.tensor(joint * 2000).round().long()
    pairs = torch.cat([torch.tensor([[t, s]]).repeat(int(counts[t, s]), 1) for t in range(2) for s in range(3)])
    student = torch.nn.functional.one_hot(pairs[:, 1], 3).float()
    loss = MajorityVoteLoss({"bit": TeacherSpec(1, "bernoulli")}, 3, depth=0)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        out = loss(student, {"bit": pairs[:, :1]})
        out.total.backward()
        optimiser.step()
    assert out.nats["bit"].item() == pytest.approx(conditional_entropy(joint), abs=1e-3)


def test_the_page_names_tests_that_exist():
    page = (Path(__file__).parent.parent / "docs" / "theory.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) == 12
    assert not [name for name in named if name not in globals()]

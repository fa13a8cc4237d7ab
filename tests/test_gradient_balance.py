import pytest
import torch

from molmv.gradient_balance import GradientBalance
from molmv.loss import MajorityVoteLoss, TeacherSpec


def pull(balance: GradientBalance, z: torch.Tensor, factors: list[float]) -> torch.Tensor:
    """Gradient of each teacher on z, (teachers, batch, dim); all are the same but for a factor."""
    gradients = []
    for i, factor in enumerate(factors):
        z.grad = None
        (factor * balance(z, i).square().sum()).backward()
        gradients.append(z.grad.clone())
    return torch.stack(gradients)


def test_after_the_first_step_all_pull_alike_and_as_much_as_the_mean():
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    balance = GradientBalance(3)
    raw = pull(balance, z, [1e-3, 1.0, 1e3])
    for _ in range(3):
        norms = pull(balance, z, [1e-3, 1.0, 1e3]).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, raw.flatten(1).norm(dim=1).mean().expand(3), rtol=1e-4, atol=0)


def test_a_teacher_without_rows_neither_pulls_nor_spoils_the_norms():
    z = torch.ones(4, 2, requires_grad=True)
    balance = GradientBalance(2)
    pull(balance, z, [1.0, 2.0])
    known = balance.norms.clone()
    gradients = pull(balance, z, [0.0, 2.0])
    assert gradients[0].abs().sum() == 0
    assert gradients.isfinite().all()
    torch.testing.assert_close(balance.norms[0], known[0])


def test_no_balance_when_evaluating():
    balance = GradientBalance(1).eval()
    z = torch.ones(2, 2, requires_grad=True)
    assert balance(z, 0) is z


def test_the_loss_keeps_its_value_and_the_gradients_of_its_heads():
    generator = torch.Generator().manual_seed(1)
    z, small = torch.randn(16, 5, generator=generator), torch.randn(16, 3, generator=generator)
    targets = {"small": small, "large": 50 * torch.randn(16, 7, generator=generator)}
    specs = {name: TeacherSpec(t.shape[1]) for name, t in targets.items()}
    results = {}
    for weights in ("per_dimension", "balanced"):
        torch.manual_seed(2)
        loss = MajorityVoteLoss(specs, 5, weights=weights, objective="mse", hidden=8, depth=1)
        for _ in range(2):
            loss.zero_grad()
            leaf = z.clone().requires_grad_()
            total = loss(leaf, targets).total
            total.backward()
        results[weights] = (total.detach(), leaf.grad, [p.grad for p in loss.heads.parameters()])
    plain, balanced = results["per_dimension"], results["balanced"]
    torch.testing.assert_close(plain[0], balanced[0])
    for a, b in zip(plain[2], balanced[2], strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(plain[1], balanced[1], rtol=0.1)


def test_resumed_training_balances_as_before():
    specs = {"a": TeacherSpec(2), "b": TeacherSpec(2)}
    loss = MajorityVoteLoss(specs, 3, weights="balanced", hidden=4)
    z = torch.randn(4, 3, requires_grad=True)
    loss(z, {"a": torch.ones(4, 2), "b": torch.ones(4, 2)}).total.backward()
    again = MajorityVoteLoss(specs, 3, weights="balanced", hidden=4)
    again.load_state_dict(loss.state_dict())
    assert (loss.balance.norms > 0).all()
    assert torch.equal(again.balance.norms, loss.balance.norms)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_gradients_keep_their_type(dtype):
    z = torch.ones(2, 2, dtype=dtype, requires_grad=True)
    balance = GradientBalance(1)
    balance(z, 0).sum().backward()
    assert z.grad.dtype == dtype

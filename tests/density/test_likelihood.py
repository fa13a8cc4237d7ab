import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from molmv.density.likelihood import fill_missing, masked_mean, teacher_loss


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_teacher_loss_of_a_plain_torch_distribution():
    mean, target = torch.randn(4, 3), torch.randn(4, 3)
    found, mask = teacher_loss(Independent(Normal(mean, 2.0), 1), target)
    by_hand = (0.5 * ((target - mean) / 2) ** 2 + math.log(2) + 0.5 * math.log(2 * math.pi)).mean()
    torch.testing.assert_close(found, by_hand)
    assert mask.all()


def test_a_missing_row_counts_neither_in_the_mean_nor_in_the_gradient():
    mean = torch.randn(4, 3, requires_grad=True)
    target = torch.randn(4, 3)
    target[1, 2], target[3] = torch.nan, torch.inf
    found, mask = teacher_loss(Independent(Normal(mean, 1.0), 1), target, torch.tensor([True, True, False, True]))
    found.backward()
    alone, _ = teacher_loss(Independent(Normal(mean[:1].detach(), 1.0), 1), target[:1])
    torch.testing.assert_close(found.detach(), alone)
    assert mask.tolist() == [True, False, False, False]
    assert mean.grad[0].abs().min() > 0
    assert (mean.grad[1:] == 0).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-100, 100), st.booleans()), min_size=1, max_size=20))
def test_masked_mean_is_the_mean_of_the_selected(rows):
    selected = [value for value, keep in rows if keep]
    found = masked_mean(torch.tensor([v for v, _ in rows], dtype=torch.float64), torch.tensor([k for _, k in rows]))
    assert found.item() == pytest.approx(sum(selected) / max(len(selected), 1), abs=1e-9)


def test_fill_missing_keeps_present_values_in_float():
    for dtype in (torch.uint8, torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float64):
        filled, mask = fill_missing(torch.ones(2, 3).to(dtype), torch.tensor([True, False]))
        assert filled.dtype == torch.float32
        assert filled.tolist() == [[1.0] * 3, [0.0] * 3]
        assert mask.tolist() == [True, False]

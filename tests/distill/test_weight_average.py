"""The average of two networks' weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from molmv.distill.weight_average import average_weights


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    made(torch.randn(5 + seed, 3))  # running means, and a count of them
    return made


def copied(made: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in made.state_dict().items()}


@given(share=st.floats(0, 1))
def test_lies_between_both(share: float):
    now, earlier = network(0), copied(network(1))
    before = copied(now)
    average_weights(now, earlier, share)
    for name, weight in now.state_dict().items():
        if weight.is_floating_point():
            torch.testing.assert_close(weight, torch.lerp(before[name], earlier[name], share))
        else:
            assert weight == before[name]


def test_linear_networks_average_what_they_say():
    now, earlier = nn.Linear(3, 2), nn.Linear(3, 2)
    x = torch.randn(7, 3)
    expected = (now(x) + 3 * earlier(x)) / 4
    average_weights(now, earlier.state_dict(), 0.75)
    torch.testing.assert_close(now(x), expected)


def test_goes_on_learning():
    now = nn.Linear(3, 2)
    average_weights(now, nn.Linear(3, 2).state_dict(), 0.5)
    now(torch.ones(1, 3)).sum().backward()
    assert now.weight.grad is not None


def test_weights_of_another_network_are_refused():
    with pytest.raises(KeyError, match="bias"):
        average_weights(nn.Linear(3, 2), nn.Linear(3, 2, bias=False).state_dict(), 0.5)

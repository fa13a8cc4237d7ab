import math

import pytest
import torch

from molmv.density import BernoulliMixtureDensity
from molmv.errors import ConfigError
from molmv.testing.density import BitDensitySuite


class TestBernoulliMixture(BitDensitySuite):
    density = BernoulliMixtureDensity


def test_learns_bits_that_are_copies_of_one_another():
    """Five copies of one fair bit hold log 2 nats; independent bits would pay five times that."""
    torch.manual_seed(0)
    data = torch.randint(0, 2, (1000, 1)).float().expand(-1, 5)
    density = BernoulliMixtureDensity(1, 5, depth=0)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        loss = -density(torch.zeros(1000, 1)).log_prob(data).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(math.log(2), abs=0.02)


def test_no_component_is_refused():
    with pytest.raises(ConfigError, match="got 0"):
        BernoulliMixtureDensity(4, 2, components=0)

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from molmv.density import GaussianMixture, GaussianMixtureDensity
from molmv.errors import ConfigError
from molmv.testing.density import RealDensitySuite


class TestGaussianMixture(RealDensitySuite):
    density = GaussianMixtureDensity
    supports_noise_gradient = False  # estimated with random draws


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_agrees_with_torchs(noise):
    torch.manual_seed(0)
    logits, mean, scale = torch.randn(3, 4), torch.randn(3, 4, 5), torch.rand(3, 4, 5) + 0.2
    q = GaussianMixture(logits, mean, scale, noise)
    components = Independent(Normal(mean, (scale**2 + noise**2).sqrt()), 1)
    oracle = MixtureSameFamily(Categorical(logits=logits), components)
    value = torch.randn(6, 3, 5)
    torch.testing.assert_close(q.log_prob(value), oracle.log_prob(value))
    torch.testing.assert_close(q.mean, oracle.mean)
    torch.testing.assert_close(q.variance, oracle.variance)
    torch.testing.assert_close(q.clean.variance, oracle.variance - noise**2)


def test_learns_two_modes():
    """Two modes at ±2: a single Gaussian would reach -2.1 nats, the mixture the entropy of two narrow ones."""
    torch.manual_seed(0)
    data = 2.0 * torch.randint(0, 2, (2000, 1)).mul(2).sub(1) + 0.1 * torch.randn(2000, 1)
    density = GaussianMixtureDensity(1, 1, components=4, noise=0.0, depth=0)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        loss = -density(torch.zeros(2000, 1)).log_prob(data).mean()
        loss.backward()
        optimiser.step()
    truth = Normal(0.0, 0.1).entropy() + torch.tensor(2.0).log()
    assert loss.item() < truth.item() + 0.1


def test_no_component_is_refused():
    with pytest.raises(ConfigError, match="got 0"):
        GaussianMixtureDensity(4, 2, components=0)

import numpy as np
import torch
from scipy import stats

from molmv.density import NegativeBinomialDensity, PoissonDensity
from molmv.density.count import DISPERSION_FLOOR
from molmv.testing.density import CountDensitySuite


class TestNegativeBinomial(CountDensitySuite):
    density = NegativeBinomialDensity


class TestPoisson(CountDensitySuite):
    density = PoissonDensity


def test_negative_binomial_is_scipys():
    density = NegativeBinomialDensity(3, 5, depth=0)
    torch.nn.init.normal_(density.raw_dispersion)
    q, counts = density(torch.randn(4, 3)), torch.randint(0, 50, (4, 5))
    dispersion = (torch.nn.functional.softplus(density.raw_dispersion) + DISPERSION_FLOOR).detach().numpy()
    mean = q.mean.detach().numpy()
    oracle = stats.nbinom(dispersion, dispersion / (dispersion + mean))
    np.testing.assert_allclose(q.log_prob(counts.float()).detach(), oracle.logpmf(counts).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(q.variance.detach(), mean + mean**2 / dispersion, rtol=1e-4)


def test_poisson_is_scipys():
    q, counts = PoissonDensity(3, 5, depth=0)(torch.randn(4, 3)), torch.randint(0, 50, (4, 5))
    oracle = stats.poisson(q.mean.detach().numpy()).logpmf(counts).sum(-1)
    np.testing.assert_allclose(q.log_prob(counts.float()).detach(), oracle, rtol=1e-5)


def test_the_negative_binomial_learns_mean_and_spread():
    """On counts drawn with known parameters, the head finds them again."""
    torch.manual_seed(0)
    mean, dispersion = 4.0, 1.5
    counts = torch.distributions.NegativeBinomial(dispersion, logits=torch.tensor(mean / dispersion).log())
    data = counts.sample((4000, 1))
    density = NegativeBinomialDensity(1, 1, depth=0)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.03)
    for _ in range(300):
        optimiser.zero_grad()
        q = density(torch.zeros(4000, 1))
        (-q.log_prob(data).mean()).backward()
        optimiser.step()
    assert abs(q.mean[0].item() - mean) < 0.2
    assert abs(q.variance[0].item() - (mean + mean**2 / dispersion)) < 1.5

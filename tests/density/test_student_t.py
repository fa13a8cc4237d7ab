import numpy as np
import pytest
import torch
from scipy import integrate, stats

from molmv.density import StudentTDensity, StudentTVector
from molmv.testing.density import RealDensitySuite


class TestStudentT(RealDensitySuite):
    density = StudentTDensity
    begins = True


def test_agrees_with_scipys():
    rng = np.random.default_rng(0)
    mean, scale, value = rng.normal(size=(3, 4)), rng.uniform(0.2, 2, size=(3, 4)), rng.normal(size=(3, 4))
    df = np.array([2.5, 3.0, 10.0, 100.0])
    q = StudentTVector(torch.tensor(mean), torch.tensor(scale), torch.tensor(df), noise=0.5)
    oracle = stats.t(df, mean, np.hypot(scale, 0.5))
    np.testing.assert_allclose(q.log_prob(torch.tensor(value)), oracle.logpdf(value).sum(-1))
    np.testing.assert_allclose(q.variance, oracle.var())
    np.testing.assert_allclose(q.entropy(), oracle.entropy().sum(-1), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.7, 3.0, 9.0])
@pytest.mark.parametrize(("scale", "noise", "df"), [(0.01, 0.5, 2.1), (1.0, 0.5, 4.0), (0.2, 2.0, 30.0)])
def test_quadrature_over_the_noise_is_good_to_a_hundredth_nat(value, scale, noise, df):
    q = StudentTVector(torch.zeros(1, 1), torch.full((1, 1), scale), torch.tensor([df]), noise)
    tau = np.hypot(scale, noise)
    oracle, _ = integrate.quad(
        lambda e: stats.norm.pdf(e, 0, noise) * stats.t.logpdf(value + e, df, 0, tau), -10 * noise, 10 * noise
    )
    assert q.expected_log_prob(torch.full((1, 1), value)).item() == pytest.approx(oracle, abs=1e-2)


def test_finds_the_tails():
    torch.manual_seed(0)
    data = torch.distributions.StudentT(3.0).sample((4000, 1))
    density = StudentTDensity(1, 1, noise=0.0, depth=0)
    optimiser = torch.optim.Adam(density.parameters(), lr=0.03)
    for _ in range(400):
        optimiser.zero_grad()
        loss = -density(torch.zeros(4000, 1)).log_prob(data).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(-stats.t.logpdf(data, 3).mean(), abs=5e-3)

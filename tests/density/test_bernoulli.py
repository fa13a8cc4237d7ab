import numpy as np
import torch
from scipy import stats

from molmv.density import BernoulliDensity
from molmv.testing.density import BitDensitySuite


class TestBernoulli(BitDensitySuite):
    density = BernoulliDensity
    begins = True


def test_log_prob_is_scipys():
    density = BernoulliDensity(3, 5, depth=0)
    z = torch.randn(4, 3)
    bits = torch.randint(0, 2, (4, 5))
    probability = density(z).mean.detach().numpy()
    oracle = stats.bernoulli.logpmf(bits.numpy(), probability).sum(-1)
    np.testing.assert_allclose(density(z).log_prob(bits.float()).detach(), oracle, rtol=1e-5)
    np.testing.assert_allclose(density(z).entropy().detach(), stats.bernoulli.entropy(probability).sum(-1), rtol=1e-5)


def test_a_certain_and_wrong_head_has_a_finite_loss():
    density = BernoulliDensity(1, 1, depth=0)
    with torch.no_grad():
        density.readout.weight.fill_(1e4)
    log_prob = density(torch.ones(1, 1)).log_prob(torch.zeros(1, 1))
    torch.testing.assert_close(log_prob, torch.tensor([-1e4]), rtol=1e-3, atol=0)

import torch
from torch.nn.functional import cosine_embedding_loss, mse_loss, smooth_l1_loss

from molmv.density import Cosine, GaussianDensity, MeanSquaredError, SmoothL1Cosine
from molmv.testing.density import RealDensitySuite


class TestMeanSquaredError(RealDensitySuite):
    density = MeanSquaredError
    begins = True
    supports_density = False


class TestCosine(RealDensitySuite):
    density = Cosine
    begins = True
    supports_density = False


class TestSmoothL1Cosine(RealDensitySuite):
    density = SmoothL1Cosine
    begins = True
    supports_density = False


def loss_of(density, z, targets):
    return -density(z).log_prob(targets).mean() / density.dim


def test_scores_are_torchs_losses():
    z, targets, ones = torch.randn(8, 3), torch.randn(8, 5), torch.ones(8)
    for density, oracle in (
        (MeanSquaredError(3, 5), mse_loss),
        (Cosine(3, 5), lambda p, t: cosine_embedding_loss(p, t, ones)),
        (SmoothL1Cosine(3, 5), lambda p, t: smooth_l1_loss(p, t) + cosine_embedding_loss(p, t, ones)),
    ):
        torch.testing.assert_close(loss_of(density, z, targets), oracle(density(z).mean, targets))


def test_an_ablation_changes_the_score_only():
    """The same seed gives the same trunk, and the same weights of the mean, under every objective."""
    heads = []
    for density in (GaussianDensity, MeanSquaredError, Cosine):
        torch.manual_seed(0)
        heads.append(density(3, 5))
    for head in heads[1:]:
        for one, other in zip(heads[0].trunk.parameters(), head.trunk.parameters(), strict=True):
            assert torch.equal(one, other)
        assert torch.equal(heads[0].readout.weight[:5], head.readout.weight)


def test_an_empty_target_has_a_finite_cosine_gradient():
    z = torch.randn(2, 3, requires_grad=True)
    loss_of(Cosine(3, 5), z, torch.zeros(2, 5)).backward()
    assert z.grad.isfinite().all()

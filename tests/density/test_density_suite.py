"""The inherited suite itself: it must fail a density that is wrong."""

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Independent, Normal

from molmv.density import DENSITIES, Density, make_density
from molmv.errors import UnknownNameError
from molmv.testing.density import RealDensitySuite


class Normalish(Density):
    """A Gaussian whose parts can be broken one by one."""

    constant = 0.0
    sample_scale = 1.0

    def __init__(self, in_dim, dim, *, hidden=512, depth=2):
        super().__init__(in_dim, dim, outputs=dim, hidden=hidden, depth=depth)

    def read(self, outputs):
        density = self

        class Broken(Independent):
            def log_prob(self, value):
                return super().log_prob(value) + density.constant

            def sample(self, sample_shape=torch.Size()):  # noqa: B008
                return self.mean + (super().sample(sample_shape) - self.mean) * density.sample_scale

        return Broken(Normal(outputs, 1.0, validate_args=False), 1, validate_args=False)


def suite_of(**broken):
    suite = RealDensitySuite()
    suite.density = type("Broken", (Normalish,), broken)
    torch.manual_seed(0)
    return suite


def test_a_right_density_passes():
    suite = suite_of()
    suite.test_integrates_to_one(0)
    suite.test_samples_follow_the_density()
    suite.test_sample_moments_are_those_of_the_density()


def test_a_wrong_constant_fails():
    with pytest.raises(AssertionError):
        suite_of(constant=math.log(1.02)).test_integrates_to_one(1)


def test_a_wrong_sampler_fails():
    with pytest.raises(AssertionError):
        suite_of(sample_scale=1.05).test_samples_follow_the_density()
    with pytest.raises(AssertionError):
        suite_of(sample_scale=1.05).test_sample_moments_are_those_of_the_density()


@pytest.mark.parametrize("name", DENSITIES)
def test_every_name_makes_its_density(name):
    density = make_density(name, 4, 6, noise=0.3, hidden=8, depth=1)
    assert type(density) is DENSITIES[name]
    assert getattr(density, "noise", None) == (0.3 if density.takes_noise else None)
    assert density(torch.zeros(2, 4)).event_shape == (6,)


def test_every_density_has_its_suite():
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for density in DENSITIES.values():
        assert f"    density = {density.__name__}\n" in text, density
        # Only a score may skip integration and Kolmogorov-Smirnov.
    assert text.count("\n    supports_density = False") == 3


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'gauss'.*bernoulli.*gaussian"):
        make_density("gauss", 4, 6)

"""What counts as near the floor, for every density."""

import pytest
import torch

from molmv.density import DENSITIES, make_density
from molmv.density.floor import near_floor
from molmv.density.gaussian import SCALE_FLOOR


@pytest.mark.parametrize("name", [name for name, density in DENSITIES.items() if density.takes_noise])
def test_a_head_that_is_certain_of_one_dimension(name):
    density = make_density(name, 4, 3, noise=0.5, hidden=8, depth=0)
    with torch.no_grad():
        density.readout.weight.zero_()
        density.readout.bias.zero_()
    q = density(torch.zeros(5, 4))
    assert not near_floor(q).any()
    assert near_floor(q).shape == (5, 3)
    # The scales follow the means in the readout; a mixture has one component's numbers after the other's.
    outputs = density.readout.bias.view(getattr(density, "components", 1), -1)
    with torch.no_grad():
        for row in outputs:
            row[(1 if len(outputs) > 1 else 0) + 3] = -50.0
        if hasattr(density, "factor"):
            density.factor.zero_()
    near = near_floor(density(torch.zeros(5, 4)))
    assert near[:, 0].all()
    assert not near[:, 1:].any()


@pytest.mark.parametrize("name", [name for name, density in DENSITIES.items() if not density.takes_noise])
def test_others_have_no_floor(name):
    assert near_floor(make_density(name, 4, 3, hidden=8)(torch.zeros(5, 4))) is None


def test_the_floor_is_never_reached_but_counts():
    from molmv.density import DiagonalGaussian

    scale = torch.tensor([[1.0001, 1.9, 2.1]]) * SCALE_FLOOR
    assert near_floor(DiagonalGaussian(torch.zeros(1, 3), scale)).tolist() == [[True, True, False]]

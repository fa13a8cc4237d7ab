r"""A mixture of independent bits, for bits that depend on one another.

.. math:: q(t \mid z) = \sum_m \pi_m(z) \prod_i p_{mi}(z)^{t_i} \big(1 - p_{mi}(z)\big)^{1 - t_i}
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily

from molmv.density.base import Density
from molmv.errors import ConfigError


class BernoulliMixtureDensity(Density):
    """Mixture of independent Bernoulli vectors; ``components`` times the outputs of one.

    Args:
        in_dim: width of the student's embedding.
        dim: number of bits.
        components: how many vectors of probabilities.
        hidden: width of the trunk.
        depth: number of blocks of the trunk.

    Raises:
        ConfigError: no component, a width below 1 or a negative depth.

    Example:
        >>> import torch
        >>> BernoulliMixtureDensity(8, 16)(torch.zeros(2, 8)).log_prob(torch.ones(2, 16)).shape
        torch.Size([2])
    """

    scaling = "identity"

    def __init__(self, in_dim: int, dim: int, *, components: int = 4, hidden: int = 512, depth: int = 2) -> None:
        if components < 1:
            raise ConfigError(f"Expected at least one component, got {components}.")
        super().__init__(in_dim, dim, outputs=components * (1 + dim), hidden=hidden, depth=depth)
        self.components = components

    def read(self, outputs: Float[Tensor, "batch outputs"]) -> MixtureSameFamily:
        """Numbers of the readout to the mixture; targets are 0.0 or 1.0."""
        outputs = outputs.unflatten(-1, (self.components, 1 + self.dim))
        weights = Categorical(logits=outputs[..., 0], validate_args=False)
        bits = Independent(Bernoulli(logits=outputs[..., 1:], validate_args=False), 1, validate_args=False)
        return MixtureSameFamily(weights, bits, validate_args=False)

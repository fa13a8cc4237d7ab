"""Small networks on frozen embeddings, many at once: the probes of all seeds train side by side in batched products.

A probe is Linear(d, h) → LayerNorm → ReLU → Linear(h, 1). Adam works element by element, so that each probe of a stack
learns what it would have learnt alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, layer_norm, mse_loss

from molmv.evaluate.features import Features


class Probes:
    """A stack of probes with their own parameters.

    Args:
        dim: width of the features.
        seeds: one a probe, for its first weights (uniform in ±1/√fan-in, torch's default) and its batches.
        hidden: width of the hidden layer.
    """

    def __init__(self, dim: int, seeds: Sequence[int], hidden: int = 128) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.hidden = hidden

        def uniform(fan_in: int, *shape: int) -> Tensor:
            bound = fan_in**-0.5
            drawn = [torch.empty(shape).uniform_(-bound, bound, generator=g) for g in self._generators]
            return torch.stack(drawn)

        self.first, self.first_bias = uniform(dim, dim, hidden), uniform(dim, 1, hidden).requires_grad_()
        self.gain = torch.ones(len(seeds), 1, hidden, requires_grad=True)
        self.shift = torch.zeros(len(seeds), 1, hidden, requires_grad=True)
        self.last, self.last_bias = uniform(hidden, hidden, 1).requires_grad_(), uniform(hidden, 1, 1).requires_grad_()

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, stacked along the first axis."""
        return [self.first, self.first_bias, self.gain, self.shift, self.last, self.last_bias]

    def above(self, h: Float[Tensor, "probes n hidden"]) -> Float[Tensor, "probes n"]:
        """Logits or values from the first layer's products, without its bias."""
        h = layer_norm(h + self.first_bias, (self.hidden,))
        return torch.baddbmm(self.last_bias, (h * self.gain + self.shift).relu(), self.last).squeeze(2)

    def shuffled(self, n: int) -> Int[Tensor, "probes n"]:
        """A new order of n rows for each probe."""
        return torch.stack([torch.randperm(n, generator=g) for g in self._generators])


def train(
    probes: Probes,
    features: Features,
    y: Float[np.ndarray, " n"],
    rows: Int[np.ndarray, "probes m"],
    classification: bool,
    epochs: int,
    batch: int = 128,
    rate: float = 1e-3,
) -> Iterator[int]:
    """Train in place with Adam; yields the number of epochs done, after each.

    Args:
        probes: the stack.
        features: of all rows.
        y: labels of all rows.
        rows: training rows of each probe; equally many.
        classification: cross-entropy, else squared error.
        epochs: passes over the rows.
        batch: rows a step; the last batch of an epoch is what is left.
        rate: learning rate.
    """
    target, rows_ = torch.from_numpy(y.astype(np.float32)), torch.from_numpy(rows)
    loss = binary_cross_entropy_with_logits if classification else mse_loss
    optimiser = torch.optim.Adam(probes.parameters, lr=rate, fused=True)
    gradient = probes.first.grad = torch.empty_like(probes.first)
    for epoch in range(1, epochs + 1):
        order = rows_.gather(1, probes.shuffled(rows.shape[1]))
        for piece in order.split(batch, dim=1):
            X = features.take(piece)
            h = X.times(probes.first).requires_grad_()
            # The sum over probes of each one's mean: no probe feels the others.
            whole = loss(probes.above(h), target[piece]) * len(rows)
            above = probes.parameters[1:]
            G, *gradients = torch.autograd.grad(whole, [h, *above])
            for parameter, g in zip(above, gradients, strict=True):
                parameter.grad = g
            X.across(G, out=gradient)  # the first layer's, by hand: always in the same memory
            optimiser.step()
        yield epoch


@torch.no_grad()
def predict(
    probes: Probes, features: Features, rows: Int[np.ndarray, "probes m"], piece: int = 4096
) -> Float[np.ndarray, "probes m"]:
    """Logits or values of some rows, for each probe its own."""
    pieces = torch.from_numpy(rows).split(piece, dim=1)
    return (
        torch.cat([probes.above(features.take(part).times(probes.first)) for part in pieces], dim=1)
        .numpy()
        .astype(np.float64)
    )

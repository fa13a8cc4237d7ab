"""Small networks on frozen embeddings, many at once: the probes of all seeds train side by side in batched products.

A probe is Linear(d, h) → LayerNorm → ReLU → Linear(h, 1). Adam works element by element, so that each probe of a stack
learns what it would have learnt alone. A step lasts a millisecond, of which autograd would take half; so the gradients
of these four layers are written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from molmv.evaluate.features import Batch, Features

EPSILON = 1e-5  # torch's, of a LayerNorm


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
        self.probes = len(seeds)
        self._shapes = [(dim, hidden), (1, hidden), (1, hidden), (1, hidden), (hidden, 1), (1, 1)]
        self._sizes = [self.probes * rows * columns for rows, columns in self._shapes]
        # One tensor for the optimiser, six views of it for us.
        self.parameters, self.gradient = torch.zeros(2, sum(self._sizes))
        parts = self._parts(self.parameters)
        self.first, self.first_bias, self.gain, self.shift, self.last, self.last_bias = parts

        def uniform(part: Tensor, fan_in: int) -> None:
            for one, generator in zip(part, self._generators, strict=True):
                one.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)

        uniform(self.first, dim)
        uniform(self.first_bias, dim)
        self.gain.fill_(1)
        uniform(self.last, hidden)
        uniform(self.last_bias, hidden)

    def _parts(self, flat: Tensor) -> list[Tensor]:
        return [
            part.view(self.probes, *shape) for part, shape in zip(flat.split(self._sizes), self._shapes, strict=True)
        ]

    def above(self, h: Float[Tensor, "probes n hidden"]) -> Float[Tensor, "probes n"]:
        """Logits or values from the first layer's products, without its bias."""
        return self._layers(h)[-1]

    def _layers(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The normal layer, its inverse deviations, the activations, and what is said."""
        z, _, deviation = torch.native_layer_norm(h + self.first_bias, (self.hidden,), None, None, EPSILON)
        a = (z * self.gain).add_(self.shift).relu_()
        return z, deviation, a, torch.baddbmm(self.last_bias, a, self.last).squeeze(2)

    def differentiate(self, X: Batch, target: Float[Tensor, "probes n"], classification: bool) -> None:
        """Set ``gradient``, of the mean over the rows of cross-entropy or squared error, each probe's own."""
        first, first_bias, gain, shift, last, last_bias = self._parts(self.gradient)
        z, deviation, a, said = self._layers(X.times(self.first))
        error = (said.sigmoid_() - target if classification else (said - target).mul_(2)).div_(target.shape[1])
        last_bias.copy_(error.sum(1)[:, None, None])
        torch.bmm(a.transpose(1, 2), error[:, :, None], out=last)
        g = (error[:, :, None] * self.last.transpose(1, 2)).mul_(a > 0)
        torch.sum(g, 1, keepdim=True, out=shift)
        torch.sum(g * z, 1, keepdim=True, out=gain)
        g.mul_(self.gain)
        along = (g * z).mean(2, keepdim=True)
        g.sub_(g.mean(2, keepdim=True)).addcmul_(z, along, value=-1).mul_(deviation)
        torch.sum(g, 1, keepdim=True, out=first_bias)
        X.across(g, out=first)

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
    optimiser = torch.optim.Adam([probes.parameters], lr=rate, fused=True)
    probes.parameters.grad = probes.gradient
    for epoch in range(1, epochs + 1):
        order = rows_.gather(1, probes.shuffled(rows.shape[1]))
        for piece in order.split(batch, dim=1):
            probes.differentiate(features.take(piece), target[piece], classification)
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

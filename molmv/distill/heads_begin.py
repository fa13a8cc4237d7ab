"""Heads of a student that was not trained with them: they begin at what its embedding tells already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from molmv.density import Density
from molmv.density.likelihood import teacher_loss
from molmv.distill.data import Inputs, embed_rows, known_vectors
from molmv.distill.module import DistillModule
from molmv.embeddings import EmbeddingStore

#: Training rows that the regressions are of.
ROWS = 8192
#: Of heads that no training follows: training rows that they are fitted to, how many times, and how many at a time.
MORE_ROWS, PASSES, BATCH = 32768, 8, 512


def begin_heads(
    module: DistillModule, inputs: Inputs, stores: Mapping[str, EmbeddingStore], rows: np.ndarray, seed: int
) -> list[str]:
    """Fit the heads that can be (:meth:`molmv.density.Density.begin`), each to as many rows that its teacher knows.

    Args:
        module: with the weights of the earlier student; left in training mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        rows: to train on.
        seed: of the choice of the rows.

    Returns:
        The teachers whose heads begin at a regression.
    """
    samples = _samples(module, inputs, stores, rows, ROWS, seed)
    begun = [name for name, z, values in samples if len(values) > 1 and module.loss.head(name).begin(z, values)]
    module.student.train()
    return begun


def fit_heads(
    module: DistillModule, inputs: Inputs, stores: Mapping[str, EmbeddingStore], rows: np.ndarray, seed: int
) -> None:
    """The same for a student that is done, and then descend to what all heads tell best of it while it stands still.

    Args:
        module: with the weights of that student; its student is left in evaluation mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        rows: that it was trained on.
        seed: of the choice of the rows, and of their order.
    """
    for name, z, values in _samples(module, inputs, stores, rows, MORE_ROWS, seed):
        head = module.loss.head(name)
        if len(values) > 1:
            head.begin(z, values)
        _descend(head, z, values, module.settings.learning_rate, seed)


def _samples(
    module: DistillModule,
    inputs: Inputs,
    stores: Mapping[str, EmbeddingStore],
    rows: np.ndarray,
    count: int,
    seed: int,
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """For each teacher embeddings and its standardised vectors of the first ``count`` shuffled rows that it knows.

    One teacher after the other: all their vectors together would be a gigabyte. Teachers that know all rows share
    theirs. One that knows a tenth of them needs rows of its own: a regression of hundreds of numbers on a tenth of the
    sample is sure of what it cannot know.
    """
    shuffled = np.random.default_rng([seed, 4]).permutation(rows)
    chosen = {name: np.sort(shuffled[stores[name].valid[shuffled]][:count]) for name in module.names}
    together = np.unique(np.concatenate(list(chosen.values())))
    z = embed_rows(module.student, inputs, together)
    for name, own in chosen.items():
        vectors, usable = known_vectors(stores[name], own)
        yield name, z[np.searchsorted(together, own)][usable], module.standardised(name, vectors)


def _descend(head: Density, z: Tensor, values: Tensor, learning_rate: float, seed: int) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=learning_rate, weight_decay=0.0)
    shuffled = torch.Generator().manual_seed(seed)
    batches = [batch for _ in range(PASSES) for batch in torch.randperm(len(z), generator=shuffled).split(BATCH)]
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(1, len(batches)))
    for batch in batches:
        optimiser.zero_grad()
        teacher_loss(head(z[batch]), values[batch])[0].backward()
        optimiser.step()
        schedule.step()

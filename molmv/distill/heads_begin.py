"""Heads of a student that was not trained with them: they begin at what its embedding tells already."""

from __future__ import annotations

from collections.abc import Mapping

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
    """Fit the heads that can be (:meth:`molmv.density.Density.begin`) to a sample of the training rows.

    Args:
        module: with the weights of the earlier student; left in training mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        rows: to train on.
        seed: of the choice of the sample.

    Returns:
        The teachers whose heads begin at a regression.
    """
    sample = _sample(rows, ROWS, seed)
    z = embed_rows(module.student, inputs, sample)
    module.student.train()
    return [name for name in module.names if _begin(module, name, z, sample, stores[name])[0]]


def fit_heads(
    module: DistillModule, inputs: Inputs, stores: Mapping[str, EmbeddingStore], rows: np.ndarray, seed: int
) -> None:
    """The same for a student that is done, and then descend to what all heads tell best of it while it stands still.

    Args:
        module: with the weights of that student; its student is left in evaluation mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        rows: that it was trained on.
        seed: of the choice of the sample, and of its order.
    """
    sample = _sample(rows, MORE_ROWS, seed)
    z = embed_rows(module.student, inputs, sample)
    for name in module.names:
        _, z_known, values = _begin(module, name, z, sample, stores[name])
        _descend(module.loss.head(name), z_known, values, module.settings.learning_rate, seed)


def _sample(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 4]).choice(rows, min(count, len(rows)), replace=False))


def _begin(
    module: DistillModule, name: str, z: Tensor, sample: np.ndarray, store: EmbeddingStore
) -> tuple[bool, Tensor, Tensor]:
    """Whether the head could begin, and what at: embeddings and standardised vectors of the rows that are known."""
    vectors, known = known_vectors(store, sample)
    values = module.standardised(name, vectors)
    return len(values) > 1 and module.loss.head(name).begin(z[known], values), z[known], values


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

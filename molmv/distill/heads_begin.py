"""Heads of a student that goes on from an earlier one: they begin at what its embedding tells already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from molmv.distill.data import Inputs, embed_rows, known_vectors
from molmv.distill.module import DistillModule
from molmv.embeddings import EmbeddingStore

#: Training rows that the regressions are of.
ROWS = 8192
#: The same for heads that no training follows: each number of an embedding costs them the share 1 / rows of what the
#: regression leaves unexplained.
MORE_ROWS = 32768


def begin_heads(
    module: DistillModule,
    inputs: Inputs,
    stores: Mapping[str, EmbeddingStore],
    rows: np.ndarray,
    seed: int,
    count: int = ROWS,
) -> list[str]:
    """Fit the heads that can be (:meth:`molmv.density.Density.begin`) to a sample of the training rows.

    Args:
        module: with the weights of the earlier student; left in training mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        rows: to train on.
        seed: of the choice of the sample.
        count: of its rows, at most.

    Returns:
        The teachers whose heads begin at a regression.
    """
    sample = np.sort(np.random.default_rng([seed, 4]).choice(rows, min(count, len(rows)), replace=False))
    z = embed_rows(module.student, inputs, sample)
    module.student.train()
    begun = []
    for name in module.names:
        values, known = known_vectors(stores[name], sample)
        if len(values) > 1 and module.loss.head(name).begin(z[known], module.standardised(name, values)):
            begun.append(name)
    return begun

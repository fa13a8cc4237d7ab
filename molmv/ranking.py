r"""Which teachers tell most of the others: a ranking without labels.

The information sufficiency of Darrin et al., *When is an Embedding Model More Promising than Another?* (arXiv
2406.07640): how many nats the embedding of one model tells of that of another, estimated with a density that is
conditional on it and a marginal one; the score of a model is the median over the others. They found it to follow the
ranking in downstream tasks, of texts and of molecules.

What is estimated here is :math:`\hat I(V_j + \varepsilon; W_i)`, with :math:`V_j` the first principal components of the
teacher that is told of, seen through noise (:mod:`molmv.principal_components`), and :math:`W_i` more components of the
teacher that tells, without extrapolation: a careful estimate of less than what whole teachers tell. A ranking is
relative to its teachers: two near copies, as bits and counts of one fingerprint, lift each other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molmv.embeddings import MANIFEST, EmbeddingStore, check_same_rows
from molmv.errors import StoreError
from molmv.information import FEWEST_ROWS, Information, estimate_information
from molmv.principal_components import PrincipalComponents

ROWS = 4000
#: Components of the teacher that is told of, and of the one that tells.
TARGETS, SOURCES = 32, 256
NOISE = 0.5


@dataclass(frozen=True)
class Ranking:
    """What some teachers tell of one another.

    Attributes:
        teachers: best first.
        scores: of each, the median over the others of what it tells of them, in nats.
        pairs: (teller, told of) -> the estimate.
        most: for each teacher what can be told of it, in nats.
        rows: molecules it was estimated on; as many more were used to find the components.
        seed: of their choice and of the estimates.
    """

    teachers: tuple[str, ...]
    scores: dict[str, float]
    pairs: dict[tuple[str, str], Information]
    most: dict[str, float]
    rows: int
    seed: int


def open_all(folder: Path) -> dict[str, EmbeddingStore]:
    """Every store in a folder, verified to hold the same rows.

    Raises:
        StoreError: fewer than two stores, or a damaged or unfinished one, or one of other molecules.
    """
    names = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if len(names) < 2:
        raise StoreError(
            f"Expected at least two stores in {folder}, found {len(names)}.", "Make them with `molmv teachers embed`."
        )
    stores = {name: EmbeddingStore(folder / name) for name in names}
    check_same_rows(list(stores.values()))
    return stores


def rank_teachers(
    stores: dict[str, EmbeddingStore],
    *,
    rows: int = ROWS,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Ranking:
    """Estimate what every teacher tells of every other, on molecules that all of them know.

    Half of the molecules are for finding components, the others for the estimates. Time is that of
    teachers x (teachers - 1) fits of small networks, some seconds each.

    Args:
        stores: of the same rows, at least two.
        rows: molecules for the estimates, at most; as many for the components.
        seed: of the choice of molecules and of the networks.
        progress: called with the pairs done and the fraction of them.

    Raises:
        StoreError: fewer than 200 molecules that all teachers know.
    """
    picked = _common_rows(stores, 2 * rows, seed)
    fit, held_out = picked[: len(picked) // 2], picked[len(picked) // 2 :]
    sources: dict[str, Tensor] = {}
    targets: dict[str, Tensor] = {}
    most: dict[str, float] = {}
    for name, store in stores.items():
        values = torch.from_numpy(store.take(fit))
        view = PrincipalComponents(values, store.header.likelihood, SOURCES, seed)
        sources[name] = view.transform(torch.from_numpy(store.take(held_out)))
        # The first of these components are those of a narrower view.
        targets[name] = sources[name][:, :TARGETS]
        most[name] = view.most_nats(NOISE) * targets[name].shape[1] / view.dim
    pairs = {}
    wanted = list(permutations(stores, 2))
    for done, (teller, told) in enumerate(wanted):
        if progress:
            progress(done, done / len(wanted))
        pairs[teller, told] = estimate_information(
            sources[teller], targets[told], noise=NOISE, extrapolate=False, seed=seed
        )
    if progress:
        progress(len(wanted), 1.0)
    scores = {
        name: statistics.median(found.nats for (teller, _), found in pairs.items() if teller == name) for name in stores
    }
    order = tuple(sorted(scores, key=lambda name: -scores[name]))
    return Ranking(order, {name: scores[name] for name in order}, pairs, most, len(held_out), seed)


def table(ranking: Ranking) -> Iterator[list[str]]:
    """Header and rows of the matrix in nats: who tells, in order of the ranking, of whom; then the score."""
    yield ["teacher", *ranking.teachers, "score"]
    for teller in ranking.teachers:
        cells = ["" if teller == told else f"{ranking.pairs[teller, told].nats:.2f}" for told in ranking.teachers]
        yield [teller, *cells, f"{ranking.scores[teller]:.2f}"]


def _common_rows(stores: dict[str, EmbeddingStore], count: int, seed: int) -> np.ndarray:
    """At most so many rows that every teacher knows and calls finite, in random order."""
    known = np.flatnonzero(np.logical_and.reduce([store.valid for store in stores.values()]))
    picked = np.random.default_rng(seed).permutation(known)[:count]
    finite = [np.isfinite(store.take(picked)).all(1) for store in stores.values()]
    picked = picked[np.logical_and.reduce(finite)]
    if len(picked) < 2 * FEWEST_ROWS:
        raise StoreError(
            f"Expected at least {2 * FEWEST_ROWS} molecules that all teachers know, found {len(picked)}.",
            "Embed a larger corpus.",
        )
    return picked

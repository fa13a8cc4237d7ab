"""A folder of stores: how alike the teachers are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from molmv.embeddings import EmbeddingStore
from molmv.errors import StoreError
from molmv.ranking import open_all
from molmv.reporting import charts
from molmv.reporting.agreement import agreement
from molmv.reporting.blocks import Block, Chart, Section, Table, Text
from molmv.reporting.of_embeddings import sample

if TYPE_CHECKING:
    from molmv.reporting.sections import Options

FEWEST, MOST = 20, 1500


def sections(path: Path, options: Options) -> list[Section]:
    """One section.

    Raises:
        StoreError: see :func:`molmv.ranking.open_all`; or hardly a molecule that all teachers know.
    """
    stores = open_all(path)
    rows = common_rows(stores, MOST, options.seed)
    if len(rows) < FEWEST:
        raise StoreError(f"{path}: only {len(rows)} molecules have a vector of every teacher; expected {FEWEST}.")
    vectors = {name: store.take(rows) for name, store in stores.items()}
    table = Table(
        "Stores",
        ("teacher", "dimensions", "likelihood", "rows", "refused"),
        [(n, s.header.dim, s.header.likelihood, len(s), int((~s.valid).sum())) for n, s in stores.items()],
    )
    return [Section(f"Teachers: {path.name}", [table, *agreement_blocks(vectors)])]


def common_rows(stores: Mapping[str, EmbeddingStore], count: int, seed: int) -> Int[np.ndarray, " rows"]:
    """At most so many rows that every store has a finite vector of, at random, in their order."""
    rows = np.flatnonzero(np.logical_and.reduce([store.valid for store in stores.values()]))
    rows = sample(rows, count, seed)
    finite = [np.isfinite(store.take(rows)).all(axis=1) for store in stores.values()]
    return rows[np.logical_and.reduce(finite)]


def agreement_blocks(vectors: Mapping[str, Float[np.ndarray, "n _"]]) -> list[Block]:
    """The heat map of how alike some models are, and what it means."""
    names = list(vectors)
    found = agreement(vectors)
    count = len(next(iter(vectors.values())))
    rows = [(name, *(float(value) for value in found[i])) for i, name in enumerate(names)]
    numbers = Table("Numbers", ("model", *names), rows, folded=True)
    words = (
        f"Linear centred kernel alignment of standardised vectors, unbiased, on {count:,} molecules: 1 is the same up "
        "to rotation and scale, 0 is nothing in common. It needs no labels, and says nothing of who is right."
    )
    return [
        Chart("How alike the models see the molecules", charts.agreement(names, found), numbers, wide=len(names) > 6),
        Text(words),
    ]

"""Comparisons of models over many tasks, after Demšar (JMLR 7, 2006) and Benavoli et al. (JMLR 17, 2016).

A table here has a row for each task, a column for each model, and larger numbers are better.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Comparison(NamedTuple):
    """A pair of models on the same tasks.

    Attributes:
        wins: tasks on which the first is better; a tie is half a win.
        tasks: how many both have.
        difference: mean difference, first minus second.
        p: two-sided p of Wilcoxon's signed-rank test; 1 where all are ties, NaN with fewer than 5 tasks.
    """

    wins: float
    tasks: int
    difference: float
    p: float


def mean_ranks(table: Float[np.ndarray, "tasks models"]) -> Float[np.ndarray, " models"]:
    """Mean rank of each model, 1 is best, over the tasks that all models have; ties share their ranks."""
    from scipy.stats import rankdata

    whole = table[np.isfinite(table).all(axis=1)]
    return rankdata(-whole, axis=1).mean(axis=0) if len(whole) else np.full(table.shape[1], np.nan)


def critical_difference(models: int, tasks: int, alpha: float = 0.05) -> float:
    """Difference of mean ranks beyond which two models differ (Nemenyi's test); NaN with fewer than 2 of either.

    CD = q_α √(k (k + 1) / 6N), with q_α of the studentised range divided by √2.
    """
    from scipy.stats import studentized_range

    if models < 2 or tasks < 2:
        return float("nan")
    q = studentized_range.ppf(1 - alpha, models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(models * (models + 1) / (6 * tasks)))


def friedman(table: Float[np.ndarray, "tasks models"]) -> float:
    """The p of Friedman's test that all models rank alike; NaN with fewer than 3 models or tasks."""
    from scipy.stats import friedmanchisquare

    whole = table[np.isfinite(table).all(axis=1)]
    if min(whole.shape) < 3:
        return float("nan")
    return float(friedmanchisquare(*whole.T).pvalue)


def compare(first: Float[np.ndarray, " tasks"], second: Float[np.ndarray, " tasks"]) -> Comparison:
    """Two models on the tasks that both have."""
    from scipy.stats import wilcoxon

    both = np.isfinite(first) & np.isfinite(second)
    difference = first[both] - second[both]
    if len(difference) < 5:
        p = float("nan")
    else:
        p = float(wilcoxon(difference).pvalue) if (difference != 0).any() else 1.0
    wins = float((difference > 0).sum() + (difference == 0).sum() / 2)
    return Comparison(wins, len(difference), float(difference.mean()) if len(difference) else float("nan"), p)


def holm(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """p-values corrected for their number (Holm, 1979); NaN stays NaN and is not counted."""
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return out


def bootstrap_mean(
    values: Float[np.ndarray, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over tasks, drawn with replacement; NaN with fewer than 2."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    means = known[np.random.default_rng(seed).integers(len(known), size=(draws, len(known)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def cliques(ranks: Float[np.ndarray, " models"], difference: float) -> list[tuple[int, int]]:
    """Largest groups of models, as first and last position in the order of rank, that the test cannot tell apart."""
    ordered = np.sort(ranks)
    found: list[tuple[int, int]] = []
    for first in range(len(ordered)):
        last = int(np.searchsorted(ordered, ordered[first] + difference, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found

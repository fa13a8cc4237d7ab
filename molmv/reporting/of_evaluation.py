"""A folder of evaluations: ranks with their critical difference, and all scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molmv.evaluate import statistics
from molmv.reporting import charts
from molmv.reporting.blocks import Block, Chart, Section, Table
from molmv.reporting.scores import matrix, read_scores, settings

if TYPE_CHECKING:
    from molmv.reporting.sections import Options


def sections(path: Path, options: Options) -> list[Section]:
    """One section for each protocol that has a table.

    Raises:
        InputError: a damaged table.
    """
    return [
        Section(
            f"Evaluation: {path.name}, protocol {protocol}",
            [block for setting, some in settings(rows).items() for block in _setting(setting, *matrix(some))],
        )
        for protocol, rows in read_scores(path).items()
    ]


def _setting(
    setting: str, tasks: list[str], models: list[str], table: Float[np.ndarray, "tasks models"]
) -> list[Block]:
    ranks = statistics.mean_ranks(table)
    whole = table[np.isfinite(table).all(axis=1)]
    means = np.abs(whole.mean(axis=0)) if len(whole) else np.full(len(models), np.nan)
    order = np.argsort(np.where(np.isfinite(ranks), ranks, np.inf), kind="stable")
    rows = [(models[i], _number(ranks[i]), _number(means[i]), int(np.isfinite(table[:, i]).sum())) for i in order]
    summary = Table(f"{setting}: ranks", ("model", "mean rank", "mean score", "tasks"), rows, folded=True)
    scores = [(task, *(_number(abs(value)) for value in table[i])) for i, task in enumerate(tasks)]
    numbers = Table("Numbers", ("task", *models), scores, folded=True)
    blocks: list[Block] = []
    drawn = charts.ranks(table, models)
    if drawn is not None:
        distance = statistics.critical_difference(len(models), len(whole))
        words = f"{setting}: mean ranks over {len(whole)} tasks (1 is best)"
        words += f"; a bar joins models closer than {distance:.2f} (Nemenyi, 5 %)" if np.isfinite(distance) else ""
        blocks.append(Chart(words, drawn, summary))
    blocks.append(Chart(f"{setting}: scores", charts.scores(table, tasks, models), numbers, wide=len(models) > 6))
    return blocks


def _number(value: float) -> object:
    return float(value) if np.isfinite(value) else "–"

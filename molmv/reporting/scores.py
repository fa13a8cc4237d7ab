"""The tables that `molmv evaluate` wrote, read back: whichever protocol's columns they have, in one form."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from molmv.errors import InputError
from molmv.evaluate import metrics
from molmv.evaluate.protocols import PROTOCOLS


class Row(NamedTuple):
    """The mean score of one model on one task; ``setting`` says with which head, split and metric."""

    setting: str
    metric: str
    task: str
    model: str
    mean: float


def read_scores(folder: Path) -> dict[str, list[Row]]:
    """The rows of each protocol that has a table in a folder of evaluations.

    Raises:
        InputError: a table whose columns are not those of its protocol.
    """
    found = {}
    for protocol in PROTOCOLS:
        path = folder / f"{protocol}.csv"
        if path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as file:
                    found[protocol] = list(_rows(csv.DictReader(file)))
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path} is not a table of protocol {protocol}: {error!r}.") from error
    return found


def _rows(lines: csv.DictReader[str]) -> Iterator[Row]:
    names = set(lines.fieldnames or ())
    for line in lines:
        if "test_auroc" in names:  # the published columns of the embedding benchmark
            yield Row(line["head"], "AUROC", line["dataset"], line["embedder"], float(line["test_auroc"]))
        elif "test_mean" in names:  # of the paper
            yield Row(line["metric"], line["metric"], line["dataset"], line["model"], float(line["test_mean"]))
        elif "split" in names:
            setting = f"{line['head']}, {line['split']} split, {line['metric']}"
            yield Row(setting, line["metric"], line["task"], line["model"], float(line["mean"]))
        else:  # of the leaderboard of TDC
            yield Row(line["metric"], line["metric"], line["task"], line["model"], float(line["mean"]))


def settings(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows by setting, in the order of the file."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.setting, []).append(row)
    return found


def matrix(rows: list[Row]) -> tuple[list[str], list[str], Float[np.ndarray, "tasks models"]]:
    """Tasks, models, and scores of one setting with a sign that makes larger better; NaN where one is missing."""
    tasks = sorted({row.task for row in rows}, key=str.lower)
    models = list(dict.fromkeys(row.model for row in rows))
    table = np.full((len(tasks), len(models)), np.nan)
    for row in rows:
        table[tasks.index(row.task), models.index(row.model)] = metrics.gain(row.metric, row.mean)
    return tasks, models, table

"""Published numbers beside ours: somebody else's table, with the columns that our own table of that protocol has.

Such a table is a CSV file: ``dataset, embedder, head, test_auroc`` for ``embedding-benchmark``, ``model, dataset,
metric, test_mean, test_std`` for ``paper``, ``task, metric, model, mean, sd`` for ``tdc-admet``; other columns do not
matter. The table of an earlier evaluation is one, too. Names are compared without case and punctuation.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from molmv.errors import InputError
from molmv.evaluate import metrics, tables
from molmv.evaluate.runner import Result

# Columns of task, metric, model, head, value and deviation; an empty name: the table has no such column.
COLUMNS = {
    "embedding-benchmark": ("dataset", "", "embedder", "head", "test_auroc", ""),
    "paper": ("dataset", "metric", "model", "", "test_mean", "test_std"),
    "paper-fixed": ("dataset", "metric", "model", "", "test_mean", "test_std"),
    "tdc-admet": ("task", "metric", "model", "", "mean", "sd"),
}
_OUR_NAMES = {"ridge": "linear", "rf": "forest", "rocauc": "AUROC", "": "AUROC"}
# So many models with the same number on two tasks are no chance.
COPIED = 5
# What the published models would reach if whoever is best at a task could be known beforehand.
CEILING = "*the best of each task*"


class Number(NamedTuple):
    """A published mean and its deviation, NaN where none is given."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Published:
    """A published table.

    Attributes:
        numbers: model -> (spelling of the task, head, metric) -> number. The head is empty if the table has no heads.
        path: of the file.
    """

    numbers: dict[str, dict[tuple[str, str, str], Number]]
    path: Path

    def namesake(self, ours: str) -> str | None:
        """The published model that is called like ours."""
        return next((model for model in self.numbers if spelling(model) == spelling(ours)), None)

    def number(self, model: str, task: str, head: str, metric: str) -> Number:
        """One of them, NaN if it is not in the table."""
        found, task = self.numbers[model], spelling(task)
        return found.get((task, head, metric)) or found.get((task, "", metric)) or Number(np.nan, np.nan)


def spelling(name: str) -> str:
    """Letters and digits, in lower case: ``Skin__Reaction`` is ``Skin_Reaction``, ``ECFP_count`` is ``ecfp-count``."""
    return "".join(c for c in name.lower() if c.isalnum())


def read_published(path: Path, protocol: str) -> Published:
    """Read the table of a protocol.

    Raises:
        InputError: nothing is published under the protocol, there is no such file, it has other columns, or a cell is
            no number; names the line.
    """
    if protocol not in COLUMNS:
        raise InputError(f"Nothing is published under the protocol {protocol}.", f"Only for {', '.join(COLUMNS)}.")
    columns = COLUMNS[protocol]
    numbers: dict[str, dict[tuple[str, str, str], Number]] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Check the path.") from error
    rows = csv.DictReader(text.splitlines())
    for name in filter(None, columns):
        if name not in (rows.fieldnames or ()):
            raise InputError(f"{path} has no column {name!r}.", f"Needed: {', '.join(filter(None, columns))}.")
    for row in rows:
        task, metric, model, head, value, sd = ((row.get(name) or "").strip() for name in columns)
        metric, head = (_OUR_NAMES.get(spelling(metric), metric), _OUR_NAMES.get(head, head) if head else "")
        try:
            number = Number(float(value or "nan"), float(sd or "nan"))
        except ValueError as error:
            raise InputError(f"{path}, line {rows.line_num}: {error}.", "Correct or empty the cell.") from error
        numbers.setdefault(model, {})[spelling(task), head, metric] = number
    return Published(numbers, path)


def page(published: Published, results: Sequence[Result], models: Sequence[str], flagged: set[str]) -> str:
    """Markdown: for each head where our models stand among the published ones, and every task side by side.

    Args:
        published: from :func:`read_published`.
        results: ours. A model that is not complete under a head is not shown there.
        models: the order of ours.
        flagged: tasks that are marked, and that every second mean leaves out.
    """
    scores = tables.cells(results)
    parts = [f"## Beside {published.path.name}"]
    for head in sorted({head for _, head, _, _, _ in scores}):
        found = {(t, m, model): v for (t, h, _, m, model), v in scores.items() if h == head and len(v)}
        counts = np.array([sum(model == name for _, _, name in found) for model in models])
        ours = [model for model, full in zip(models, tables.complete(counts), strict=True) if full]
        shown = []
        for task, metric in sorted({(t, m) for t, m, _ in found}, key=lambda row: (row[1], row[0].lower())):
            theirs = (published.number(model, task, head, metric).mean for model in published.numbers)
            if all((task, metric, model) in found for model in ours) and any(np.isfinite(v) for v in theirs):
                shown.append((task, metric))
        if shown:
            beside = _Beside(published, head, shown, ours, found, flagged)
            parts += [f"### {head}", beside.standing(), beside.reproduced(), beside.task_by_task()]
    return "\n\n".join(filter(None, parts)) if len(parts) > 1 else ""


class _Beside:
    """One head: a row for each task and metric, a column for each model; larger is better."""

    def __init__(
        self,
        published: Published,
        head: str,
        rows: Sequence[tuple[str, str]],
        models: Sequence[str],
        found: dict[tuple[str, str, str], np.ndarray],
        flagged: set[str],
    ) -> None:
        self.rows, self.models, self.names, self.published = rows, models, list(published.numbers), published
        self.ours = [[found[task, metric, model] for model in models] for task, metric in rows]
        self.theirs = [[published.number(name, t, head, m) for name in self.names] for t, m in rows]
        self.clean = np.array([task not in flagged for task, _ in rows])
        self.our_gain = np.array(
            [[metrics.gain(m, v.mean()) for v in vs] for (_, m), vs in zip(rows, self.ours, strict=True)]
        )
        self.their_gain = np.array(
            [[metrics.gain(m, n.mean) for n in ns] for (_, m), ns in zip(rows, self.theirs, strict=True)]
        )

    def standing(self) -> str:
        """Mean position among the published models, and the mean of each metric, with and without flagged tasks.

        Beside them a model that nobody has: on each task the best of the published.
        Two tasks with the same published numbers are named, and positions given without both: one of the two is not
        what was measured there, and the table does not say which.
        """
        copies = copied_rows(self.their_gain)
        parts = {"mean position": np.full(len(self.rows), True), "unflagged": self.clean}
        if copies:
            parts["without copies"] = ~np.isin(np.arange(len(self.rows)), [*copies, *copies.values()])
        kinds = [m for m in dict.fromkeys(m for _, m in self.rows) if m not in metrics.LOWER_IS_BETTER]
        lines = []
        ceiling = np.nanmax(self.their_gain, axis=1, keepdims=True)
        rivals = ([*self.names, CEILING], np.hstack([self.their_gain, ceiling]), False)
        for names, gains, ours in ((self.models, self.our_gain, True), rivals):
            for name, column in zip(names, gains.T, strict=True):
                known = np.isfinite(column)
                if known.sum() * 2 < len(self.rows):
                    continue
                position = self._positions(column)
                cells: list[str] = [f"**{name}**" if ours else name]
                cells += [_mean(position, known & part, 2) for part in parts.values()]
                for kind in kinds:
                    rows = np.array([m == kind for _, m in self.rows])
                    whole = known[rows].all()
                    cells += [_mean(column, rows & part & whole) for part in (known, self.clean)]
                lines.append((position[known].mean(), [*cells, str(int(known.sum()))]))
        header = ["model", *parts]
        header += [text for kind in kinds for text in (f"mean {kind}", "unflagged")] + ["tasks"]
        note = (
            "Position: 1 + the number of published models that are better on that task. "
            f"{len(self.rows)} tasks, {int(self.clean.sum())} of them unflagged."
        )
        for one, other in copies.items():
            note += (
                f" **{self.rows[one][0]} and {self.rows[other][0]} have the same published numbers**, of every model "
                "that has both: one of them is a copy. Without copies: positions over the other tasks."
            )
        return f"{tables.markdown(header, [cells for _, cells in sorted(lines, key=lambda line: line[0])])}\n\n{note}"

    def reproduced(self) -> str:
        """Our models that are published too: how far the numbers are apart."""
        lines = []
        for j, model in enumerate(self.models):
            name = self.published.namesake(model)
            if name is None:
                continue
            theirs = [row[self.names.index(name)] for row in self.theirs]
            means = np.array([[values[j].mean(), t.mean] for values, t in zip(self.ours, theirs, strict=True)])
            both = np.isfinite(means).all(axis=1)
            if both.any():
                apart = np.where(both, np.abs(means[:, 0] - means[:, 1]), -1)
                sds = np.array([t.sd for t in theirs])
                within = (
                    f"{int((apart[both] <= 2 * sds[both]).sum())} of {both.sum()}" if np.isfinite(sds).any() else ""
                )
                worst = f"{apart.max():.4f} ({self.rows[int(apart.argmax())][0]})"
                pair = [f"{value:.4f}" for value in means[both].mean(axis=0)]
                lines.append((model, name, int(both.sum()), *pair, worst, within))
        header = ("model", "published as", "tasks", "our mean", "published mean", "furthest apart", "within 2 sd")
        return tables.markdown(header, lines) if lines else ""

    def task_by_task(self) -> str:
        """Every task: ours, in brackets what is published under the same name, and the best of the published."""
        namesakes = [self.published.namesake(model) for model in self.models]
        lines = []
        for i, (task, metric) in enumerate(self.rows):
            cells = [f"{task}{'' if self.clean[i] else ' *'}, {metric}"]
            for values, name in zip(self.ours[i], namesakes, strict=True):
                theirs = self.theirs[i][self.names.index(name)] if name else Number(np.nan, np.nan)
                ours = Number(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else np.nan)
                cells.append(_text(ours) + (f" ({_text(theirs)})" if np.isfinite(theirs.mean) else ""))
            best = int(np.nanargmax(self.their_gain[i]))
            lines.append([*cells, f"{_text(self.theirs[i][best])} {self.names[best]}"])
        text = tables.markdown(["task", *self.models, "best published"], lines)
        return (
            f"{text}\n\nIn brackets: published. *: flagged."
            if not self.clean.all()
            else f"{text}\n\nIn brackets: published."
        )

    def _positions(self, column: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        with np.errstate(invalid="ignore"):
            return 1 + (self.their_gain > column[:, None]).sum(axis=1).astype(float)


def copied_rows(theirs: Float[np.ndarray, "rows models"]) -> dict[int, int]:
    """Tasks whose published numbers are those of a task before it, for every model that has both (NaN: it has none).

    Returns:
        The later row of each such pair -> the earlier one.
    """
    found: dict[int, int] = {}
    for later in range(len(theirs)):
        for earlier in range(later):
            both = np.isfinite(theirs[[earlier, later]]).all(axis=0)
            if both.sum() >= COPIED and (theirs[earlier] == theirs[later])[both].all():
                found.setdefault(later, earlier)
    return found


def _mean(values: np.ndarray, rows: np.ndarray, digits: int = 4) -> str:
    return f"{values[rows].mean():.{digits}f}" if rows.any() else ""


def _text(number: Number) -> str:
    return f"{number.mean:.3f} ± {number.sd:.3f}" if np.isfinite(number.sd) else f"{number.mean:.4f}"

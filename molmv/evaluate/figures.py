"""Charts of a run: mean ranks with their critical difference, and the score of every model on every task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from molmv import plots
from molmv.evaluate import statistics


def critical_difference(table: Float[np.ndarray, "tasks models"], models: Sequence[str], title: str = "") -> Any:
    """Mean ranks, best left; a bar joins models that Nemenyi's test cannot tell apart (Demšar, 2006).

    Raises:
        MissingExtraError: altair is not installed.
    """
    alt, pd = plots.altair(), _pandas()
    ranks = statistics.mean_ranks(table)
    whole = int(np.isfinite(table).all(axis=1).sum())
    distance = statistics.critical_difference(len(models), whole)
    order = [models[i] for i in np.argsort(ranks, kind="stable")]
    points = pd.DataFrame({"model": models, "mean rank": ranks})
    y = alt.Y("model:N", sort=order, title=None)
    x = alt.X("mean rank:Q", scale=alt.Scale(domain=[1, max(len(models), 2)]), title="mean rank (1 is best)")
    chart = alt.Chart(points, title=f"{title} ({whole} tasks, critical difference {distance:.2f})", width=480)
    layers = [chart.mark_point(filled=True, size=80).encode(x=x, y=y, tooltip=["model", "mean rank"])]
    ordered = np.sort(ranks)
    bars = [
        {"model": order[row], "from": ordered[first], "to": ordered[last]}
        for first, last in (statistics.cliques(ranks, distance) if np.isfinite(distance) else [])
        for row in (first,)
    ]
    if bars:
        frame = pd.DataFrame(bars)
        rule = alt.Chart(frame).mark_rule(strokeWidth=3, opacity=0.4)
        layers.append(rule.encode(x=alt.X("from:Q", title=None), x2="to:Q", y=y))
    return alt.layer(*layers)


def heatmap(
    table: Float[np.ndarray, "tasks models"], tasks: Sequence[str], models: Sequence[str], title: str = ""
) -> Any:
    """Scores by task and model; colours compare the models of one task.

    Raises:
        MissingExtraError: altair is not installed.
    """
    alt, pd = plots.altair(), _pandas()
    with np.errstate(invalid="ignore"):
        spread = np.nanmax(table, axis=1, initial=-np.inf) - np.nanmin(table, axis=1, initial=np.inf)
        relative = (table - np.nanmin(table, axis=1, initial=np.inf)[:, None]) / np.maximum(spread, 1e-12)[:, None]
    rows = [
        {"task": task, "model": model, "score": abs(float(table[i, j])), "within task": float(relative[i, j])}
        for i, task in enumerate(tasks)
        for j, model in enumerate(models)
        if np.isfinite(table[i, j])
    ]
    base = alt.Chart(pd.DataFrame(rows), title=title).encode(
        x=alt.X("model:N", sort=list(models), title=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("task:N", sort=list(tasks), title=None),
    )
    colour = alt.Color("within task:Q", scale=alt.Scale(scheme="blues"), legend=None)
    squares = base.mark_rect().encode(color=colour, tooltip=["task", "model", alt.Tooltip("score", format=".4f")])
    text = base.mark_text(fontSize=9).encode(
        text=alt.Text("score:Q", format=".3f"),
        color=alt.condition("datum['within task'] > 0.6", alt.value("white"), alt.value("black")),
    )
    return (squares + text).properties(width=60 * len(models), height=18 * len(tasks))


def _pandas() -> Any:
    import pandas

    return pandas

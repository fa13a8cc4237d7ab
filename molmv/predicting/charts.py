"""Figures of a fit: the test molecules, and all models on them; each as PNG and as a page to point at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv import plots

if TYPE_CHECKING:
    from molmv.predicting.tested import Line, Tested

_MOST = 5_000  # points that a page still moves smoothly


def draw(folder: Path, tested: Tested, table: Sequence[Line]) -> None:
    """Write all figures.

    Raises:
        MissingExtraError: altair is not installed.
    """
    charts = {"models": models(table)}
    if tested.classes:
        charts |= {"roc": roc(tested), "calibration": calibration(tested)}
    else:
        charts |= {"test": parity(tested), "similarity": similarity(tested)}
    for name, chart in charts.items():
        plots.save(chart, folder / f"{name}.png", folder / f"{name}.html")


def models(table: Sequence[Line]) -> Any:
    """A bar a model; the kept one stands out."""
    alt, name = plots.altair(), next(iter(table[0].test))
    rows = [{"model": line.name, "kept": line.chosen, name: line.test[name]} for line in table]
    return (
        alt.Chart(_data(rows), title=f"{name.upper()} on the test molecules")
        .mark_bar()
        .encode(x=alt.X(f"{name}:Q"), y=alt.Y("model:N", sort=None, title=None), color=alt.Color("kept:N"))
    )


def parity(tested: Tested) -> Any:
    """Predicted against measured, with intervals."""
    alt = plots.altair()
    ends_of = {np.min: (tested.y, tested.lower), np.max: (tested.y, tested.upper)}
    low, high = (float(f([f(values) for values in both])) for f, both in ends_of.items())
    scale = alt.Scale(domain=[low, high], nice=True, zero=False)
    base = alt.Chart(_data(_points(tested)), title="Test molecules: predicted against measured").encode(
        x=alt.X("measured:Q", scale=scale)
    )
    bars = base.mark_rule(opacity=0.08).encode(y=alt.Y("lower:Q", title="predicted", scale=scale), y2="upper:Q")
    dots = base.mark_circle(size=18, opacity=0.6).encode(
        y=alt.Y("predicted:Q", scale=scale),
        color=alt.Color("in domain:N"),
        tooltip=["smiles:N", "measured:Q", "predicted:Q", "similarity:Q"],
    )
    ends = _data([{"measured": low, "predicted": low}, {"measured": high, "predicted": high}])
    line = alt.Chart(ends).mark_line(color="grey", strokeDash=[4, 4]).encode(x="measured:Q", y="predicted:Q")
    return bars + dots + line


def similarity(tested: Tested) -> Any:
    """Absolute error against the similarity to the nearest training molecule."""
    alt = plots.altair()
    return (
        alt.Chart(_data(_points(tested)), title="Test molecules: error by similarity to the training part")
        .mark_circle(size=18, opacity=0.6)
        .encode(
            x=alt.X("similarity:Q", title="similarity to the nearest training molecule"),
            y=alt.Y("error:Q", title="absolute error"),
            color=alt.Color("in domain:N"),
            tooltip=["smiles:N", "measured:Q", "predicted:Q"],
        )
    )


def roc(tested: Tested) -> Any:
    """True against false positives."""
    from sklearn.metrics import roc_curve

    alt = plots.altair()
    wrong, right, _ = roc_curve(tested.y, tested.prediction)
    rows = [{"false positives": float(a), "true positives": float(b)} for a, b in zip(wrong, right, strict=True)]
    chart = alt.Chart(_data(rows), title="ROC curve of the test molecules")
    return chart.mark_line(interpolate="step-after").encode(x="false positives:Q", y="true positives:Q")


def calibration(tested: Tested) -> Any:
    """Share of positives among molecules of about one predicted probability."""
    alt = plots.altair()
    bins = np.minimum((tested.prediction * 10).astype(int), 9)
    rows = [
        {
            "predicted probability": float(tested.prediction[bins == b].mean()),
            "share of positives": float(tested.y[bins == b].mean()),
            "molecules": int((bins == b).sum()),
        }
        for b in np.unique(bins)
    ]
    dots = (
        alt.Chart(_data(rows), title=f"Calibration of P({tested.classes[-1]}) on the test molecules")
        .mark_circle()
        .encode(
            x=alt.X("predicted probability:Q", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("share of positives:Q", scale=alt.Scale(domain=[0, 1])),
            size="molecules:Q",
        )
    )
    ends = _data([{"predicted probability": x, "share of positives": x} for x in (0, 1)])
    line = alt.Chart(ends).mark_line(color="grey", strokeDash=[4, 4])
    return dots + line.encode(x="predicted probability:Q", y="share of positives:Q")


def _points(tested: Tested) -> list[dict[str, Any]]:
    rows = np.arange(len(tested.y))
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MOST, replace=False))
    return [
        {
            "smiles": tested.smiles[i],
            "measured": float(tested.y[i]),
            "predicted": float(tested.prediction[i]),
            "lower": float(tested.lower[i]),
            "upper": float(tested.upper[i]),
            "error": float(abs(tested.y[i] - tested.prediction[i])),
            "similarity": float(tested.similarity[i]),
            "in domain": bool(tested.in_domain[i]),
        }
        for i in rows
    ]


def _data(rows: list[dict[str, Any]]) -> Any:
    alt = plots.altair()
    return alt.Data(values=rows)

"""Charts of a report as Vega-Lite: as wide as their place, without colours of their own for text and background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from molmv import plots
from molmv.evaluate import figures, statistics
from molmv.reporting.learning import PARTS, Point

WIDE: Any = "container"


def space(
    points: Sequence[dict[str, Any]], layouts: Sequence[str], colours: Mapping[str, Float[np.ndarray, " n"]]
) -> dict[str, Any]:
    """The map. Its parameters ``layout``, ``colour`` and ``chosen`` are changed from outside.

    Args:
        points: with ``i``, ``<layout>_x``, ``<layout>_y`` and a number or None for each colour.
        layouts: names, the first is shown.
        colours: their values; the scale spans the middle 96 % of them, so that one outlier does not use it up.
    """
    alt = plots.altair()
    limits = {key: [float(q) for q in np.nanquantile(values, [0.02, 0.98])] for key, values in colours.items()}
    layout = alt.param(name="layout", value=layouts[0])
    colour = alt.param(name="colour", value=next(iter(colours)))
    chosen = alt.param(name="chosen", value=-1)
    allowed = alt.param(name="limits", value=limits)
    base = alt.Chart(alt.Data(values=list(points))).transform_calculate(
        x="datum[layout + '_x']",
        y="datum[layout + '_y']",
        shade="isValid(datum[colour]) ? clamp(datum[colour], limits[colour][0], limits[colour][1]) : null",
    )
    place = {
        axis: channel(f"{axis}:Q", axis=None, scale=alt.Scale(zero=False, nice=False, padding=12))
        for axis, channel in (("x", alt.X), ("y", alt.Y))
    }
    legend = alt.Legend(title=None, orient="bottom", gradientLength=200)
    known = alt.Color("shade:Q", scale=alt.Scale(scheme=alt.SchemeParams("viridis", extent=[0.2, 0.95])), legend=legend)
    shade = alt.condition("isValid(datum.shade)", known, alt.value("#999"))
    dots = base.mark_circle(size=36, opacity=0.85, cursor="pointer")
    # Never without a dot, of which Vega would complain; an invisible one where none is chosen.
    shown = alt.expr("chosen < 0 ? 0 : 1")
    ring = base.transform_filter("datum.i === max(chosen, 0)").mark_point(
        size=260, strokeWidth=3, color="#e4002b", opacity=shown
    )
    zoom = alt.selection_interval(
        name="window",
        bind="scales",
        zoom="wheel![event.shiftKey]",
        translate="[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    )
    layers = alt.layer(
        dots.encode(**place, color=shade, tooltip=alt.Tooltip("i:Q")).add_params(zoom),
        ring.encode(**place),
    )
    chart = layers.add_params(layout, colour, chosen, allowed).properties(width=WIDE, height=460)
    return plots.specification(chart)


def curve(points: Sequence[Point], measure: str) -> dict[str, Any]:
    """One measure of one teacher over the steps, in training and on held-out rows."""
    alt = plots.altair()
    rows = [{"step": p.step, "rows": PARTS[p.part], "value": p.value} for p in points if p.measure == measure]
    kinds = alt.Scale(domain=list(PARTS.values()), range=["#4c78a8", "#f58518"])
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("rows:N", scale=kinds, legend=alt.Legend(title=None, orient="top")),
            tooltip=["step:Q", "rows:N", alt.Tooltip("value:Q", format=".4g")],
        )
        .properties(width=WIDE, height=190)
    )
    return plots.specification(chart)


def nats(teachers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a student holds of each teacher: a bar with its interval, and a tick at what there is to hold."""
    alt = plots.altair()
    names = ("nats", "low", "high", "most")
    rows = [{"teacher": name, **{key: one[key] for key in names}} for name, one in teachers.items()]
    order = sorted(teachers, key=lambda name: -teachers[name]["nats"])
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("teacher:N", sort=order, title=None, axis=alt.Axis(labelLimit=140)),
        tooltip=["teacher:N", *(alt.Tooltip(f"{key}:Q", format=".2f") for key in names)],
    )
    bars = base.mark_bar(color="#4c78a8").encode(x=alt.X("nats:Q", title="nats held; tick: at most"))
    spans = base.mark_rule(color="#f58518", strokeWidth=3).encode(x="low:Q", x2="high:Q")
    ticks = base.mark_tick(color="#e45756", thickness=3).encode(x="most:Q")
    return plots.specification((bars + spans + ticks).properties(width=WIDE, height=32 * len(rows) + 20))


def agreement(names: Sequence[str], table: Float[np.ndarray, "models models"]) -> dict[str, Any]:
    """Every pair of models as a square."""
    alt = plots.altair()
    rows = [
        {"model": a, "beside": b, "agreement": float(table[i, j])}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if np.isfinite(table[i, j])
    ]
    labels = alt.Axis(labelLimit=110)
    cells = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("beside:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=110, labelAngle=-50)),
        y=alt.Y("model:N", sort=list(names), title=None, axis=labels),
    )
    colour = alt.Color("agreement:Q", scale=alt.Scale(scheme="blues", domain=[0, 1], clamp=True), legend=None)
    tips = ["model:N", "beside:N", alt.Tooltip("agreement:Q", format=".3f")]
    ink = alt.condition("datum.agreement > 0.6", alt.value("white"), alt.value("black"))
    text = cells.mark_text(fontSize=11).encode(text=alt.Text("agreement:Q", format=".2f"), color=ink)
    chart = cells.mark_rect().encode(color=colour, tooltip=tips) + text
    return plots.specification(chart.properties(width=WIDE, height=36 * len(names)))


def ranks(table: Float[np.ndarray, "tasks models"], models: Sequence[str]) -> dict[str, Any] | None:
    """Mean ranks with their critical difference; None where no task has a score of every model, or there is one."""
    if len(models) < 2 or not np.isfinite(statistics.mean_ranks(table)).all():
        return None
    return fitted(figures.critical_difference(table, models), 26 * len(models) + 20)


def scores(table: Float[np.ndarray, "tasks models"], tasks: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    """The score of every model on every task."""
    return fitted(figures.heatmap(table, tasks, models), 24 * len(tasks))


def fitted(chart: Any, height: int) -> dict[str, Any]:
    """A chart that was drawn for a file, as wide as its place on a page, which has its title."""
    spec = plots.specification(chart)
    for layer in spec.get("layer", []):
        for own in ("width", "height", "title"):
            layer.pop(own, None)
    return {**spec, "title": "", "width": WIDE, "height": height}

"""A ranking of teachers as a chart: the scores, and who tells how much of whom."""

from __future__ import annotations

from typing import Any

from molmv.plots import altair
from molmv.ranking import Ranking


def ranking_chart(ranking: Ranking) -> Any:
    """An altair chart of two panels, best teacher on top.

    Raises:
        MissingExtraError: altair is not installed.
    """
    alt = altair()
    order = list(ranking.teachers)
    scores = [{"teacher": name, "score": score} for name, score in ranking.scores.items()]
    pairs = [
        {"teacher": teller, "told of": told, "nats": found.nats, "low": found.low, "high": found.high}
        for (teller, told), found in ranking.pairs.items()
    ]
    rows = alt.Y("teacher:N", sort=order, title=None)
    bars = (
        alt.Chart(alt.Data(values=scores), title="median over the others")
        .mark_bar()
        .encode(y=rows, x=alt.X("score:Q", title="nats"), tooltip=["teacher:N", alt.Tooltip("score:Q", format=".2f")])
        .properties(width=180)
    )
    cells = alt.Chart(alt.Data(values=pairs), title="what each row tells of each column").encode(
        y=rows, x=alt.X("told of:N", sort=order, title=None)
    )
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("nats", "low", "high")]
    squares = cells.mark_rect().encode(
        color=alt.Color("nats:Q", scale=alt.Scale(scheme="blues")), tooltip=["teacher:N", "told of:N", *numbers]
    )
    half = max(found.nats for found in ranking.pairs.values()) / 2
    ink = alt.condition(f"datum.nats > {half}", alt.value("white"), alt.value("black"))
    texts = cells.mark_text().encode(text=alt.Text("nats:Q", format=".1f"), color=ink)
    return alt.hconcat(bars, (squares + texts).properties(width=45 * len(order), height=30 * len(order)))

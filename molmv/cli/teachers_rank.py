"""``molmv teachers rank``: which teachers tell most of the others, without labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molmv.cli import terminal

if TYPE_CHECKING:
    from molmv.ranking import Ranking


def rank(
    stores: Annotated[Path, typer.Argument(help="A folder of stores of the same molecules.")],
    out: Annotated[
        list[Path] | None, typer.Option("-o", "--out", help="A chart (html, png, svg) or the matrix (csv); repeatable.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Molecules for the estimates, at most.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of the choice of molecules.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Rank the teachers of your molecules by what each tells of the others, in nats; needs no labels.

    The row of a teacher says what it tells of the teacher of each column; its score is the median of its row. A ranking
    is relative: two teachers that are nearly the same lift each other.

    **Example**

    `molmv teachers rank stores/ -o ranking.html -o ranking.csv`
    """
    from molmv.atomic import check_writable
    from molmv.plots import ENDINGS, altair, save
    from molmv.ranking import open_all, rank_teachers, table

    charts, matrices = _by_kind(out or [], ENDINGS)
    if charts:
        altair()  # not after minutes of work
    for path in matrices:
        check_writable(path, overwrite=True)
    opened = open_all(stores)
    with terminal.progress("estimating", quiet, "pairs") as progress:
        found = rank_teachers(opened, rows=rows, seed=seed, progress=progress)
    for path in matrices:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table(found))
    if charts:
        from molmv.ranking_chart import ranking_chart

        save(ranking_chart(found), *charts)
    if as_json:
        terminal.show_json(_as_dict(found))
        return
    header, *lines = table(found)
    terminal.show_table(header, lines)
    terminal.note(f"Nats that the teacher of a row tells of the one of a column, on {found.rows:,} molecules.")


def _by_kind(paths: list[Path], charts: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """Charts and matrices; anything else is refused before the work begins.

    Raises:
        OutputError: another ending.
    """
    from molmv.errors import OutputError

    for path in paths:
        if path.suffix not in (*charts, ".csv"):
            raise OutputError(f"{path}: expected a name that ends in one of {', '.join((*charts, '.csv'))}.")
    return [p for p in paths if p.suffix in charts], [p for p in paths if p.suffix == ".csv"]


def _as_dict(found: Ranking) -> dict[str, Any]:
    pairs = [
        {"teacher": teller, "told_of": told, "nats": one.nats, "low": one.low, "high": one.high}
        for (teller, told), one in found.pairs.items()
    ]
    ranking = [{"teacher": name, "score": found.scores[name], "most": found.most[name]} for name in found.teachers]
    return {"ranking": ranking, "pairs": pairs, "rows": found.rows, "seed": found.seed}

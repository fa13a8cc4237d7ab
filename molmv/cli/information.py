"""``molmv information``: how much of each teacher a student holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal
from molmv.errors import MissingExtraError


def information(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run: the output of its distill.toml.")],
    corpus: Annotated[Path | None, typer.Option(help="The corpus, if it was moved.")] = None,
    stores: Annotated[Path | None, typer.Option(help="The folder of the stores, if it was moved.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Held-out rows to use, at most; 0: all.")] = 0,
    components: Annotated[int, typer.Option(min=1, help="Principal components of a teacher, at most.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Estimate how many nats of each teacher a finished student's embedding holds.

    Uses rows that the student was not trained on. A lower bound for the whole teacher: it is about its first principal
    components, seen through noise. Writes information.json into the folder of the run.

    **Example**

    `molmv information build/molmv-small`
    """
    try:
        from molmv.distill.finished import open_run
        from molmv.distill.information import held_out_information, report, save_information, statement
    except ImportError as error:
        raise MissingExtraError("lightning", "distill") from error
    opened = open_run(run, corpus, stores)
    with terminal.progress("estimating", quiet, "teachers") as progress:
        found = held_out_information(
            opened.network,
            opened.inputs,
            opened.stores,
            opened.split,
            rows=rows,
            components=components,
            seed=opened.config.seed,
            progress=progress,
        )
    save_information(found, run)
    if as_json:
        terminal.show_json(report(found))
        return
    header = ("teacher", "nats", "95 % interval", "at most", "components", "of the variance", "rows")
    lines = [
        (
            name,
            f"{one.information.nats:.2f}",
            f"{one.information.low:.2f} – {one.information.high:.2f}",
            f"{one.most:.2f}",
            one.components,
            f"{one.share:.0%}",
            one.rows,
        )
        for name, one in found.items()
    ]
    terminal.show_table(header, lines)
    terminal.note(statement())

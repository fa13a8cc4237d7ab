"""``molmv report``: one page with pictures of what some runs left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Files of embeddings; folders of distillations, stores, evaluations, fits; any mixture."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", "--output", help="The page.")] = Path("report.html"),
    table: Annotated[
        Path | None, typer.Option("--table", help="The file that was embedded: colour the map by its numbers.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="A distillation's corpus, if it was moved.")] = None,
    stores: Annotated[Path | None, typer.Option("--stores", help="The folder of its stores, if it was moved.")] = None,
    molecules: Annotated[int, typer.Option("--molecules", min=2, help="On a map, at most.")] = 2000,
    tsne: Annotated[bool, typer.Option(help="Offer t-SNE beside principal components.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of molecules and of t-SNE.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Write one page to look at: maps, learning curves, agreement, evaluations, neighbours.

    The page needs no network and no other file: it can be mailed, or opened on a laptop in a train.

    **Examples**

    `molmv report embeddings.parquet --table library.csv`

    `molmv report build/mine build/store evaluation -o report.html`

    `molmv report assay_pIC50 -o model.html`
    """
    from molmv.reporting import report as run

    with terminal.progress("reading", quiet, "runs") as progress:
        page = run(
            runs,
            out,
            table=table,
            corpus=corpus,
            stores=stores,
            molecules=molecules,
            tsne=tsne,
            seed=seed,
            progress=progress,
        )
    terminal.note(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser.")

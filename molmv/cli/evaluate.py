"""``molmv evaluate``: models under one protocol, beside plain baselines, with leaks shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from molmv.cli import terminal


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--model", help="A student, a teacher or a checkpoint folder; A+B: side by side; repeatable."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "-p",
            "--protocol",
            help="strict, paper, paper-fixed, embedding-benchmark, tdc-admet, unsupervised, text or image.",
        ),
    ] = "strict",
    tasks: Annotated[
        list[str] | None,
        typer.Option("-t", "--tasks", help="Data sets, or files as assay.csv:pIC50; repeatable. [default: all]"),
    ] = None,
    head: Annotated[list[str] | None, typer.Option("--head", help="Some of the protocol's heads; repeatable.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", "--output", help="Folder of tables and figures.")] = Path(
        "evaluation"
    ),
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Processes.")] = 1,
    baselines: Annotated[
        bool, typer.Option(help="ECFP, ECFP counts, RDKit descriptors; of texts hashed n-grams.")
    ] = True,
    concatenation: Annotated[bool, typer.Option(help="All teachers side by side.")] = True,
    beside: Annotated[
        list[str] | None, typer.Option(help="A model of which only finished scores are in the tables; repeatable.")
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="A CSV of published numbers with the columns of the protocol's table.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--corpus", help="What a student was distilled on: look for test molecules in it; repeatable."),
    ] = None,
    censored: Annotated[str, typer.Option("--censored", help="Labels like >100: refuse, drop, keep-bound.")] = "refuse",
    mlflow: Annotated[str | None, typer.Option("--mlflow", metavar="URI", help="Log to this MLflow store.")] = None,
    figures: Annotated[bool, typer.Option(help="Draw figures.")] = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar, no table.")] = False,
) -> None:
    """Evaluate models on data sets with labels, beside ECFP and descriptors, and say what their numbers may owe to.

    The same command again goes on where it stopped.

    **Examples**

    `molmv evaluate -m molmv-small -t assay.csv:pIC50`

    `molmv evaluate -m molmv-small -m minimol --protocol paper --tasks AMES,hERG --jobs 2`
    """
    import warnings

    from molmv.evaluate.evaluation import evaluate as run

    def warn(message: Warning | str, category: type[Warning], *where: Any, **how: Any) -> None:
        if issubclass(category, UserWarning):  # ours; the others are between libraries
            terminal.note(f"warning: {message}")

    named = [part for entry in tasks or () for part in _split(entry)]
    with warnings.catch_warnings(), terminal.progress("evaluating", quiet, unit="jobs") as progress:
        warnings.simplefilter("always")
        warnings.showwarning = warn  # at once: a run may take hours
        report = run(
            model or (),
            protocol,
            named,
            heads=[part for entry in head or () for part in entry.split(",")],
            output=out,
            jobs=jobs,
            baselines=baselines,
            concatenation=concatenation,
            beside=beside or (),
            published=published,
            corpus=corpus or (),
            censored=censored,
            mlflow=mlflow,
            plots=figures,
            progress=lambda what, done, total: progress(done, done / max(total, 1)),
        )
    if not quiet:
        terminal.show(str(report))
    terminal.note(f"{len(report.results)} jobs; {len(report.files)} files in {report.folder}")


def _split(entry: str) -> list[str]:
    """``AMES,hERG`` are two tasks; the commas of ``assay.csv:pIC50,logD`` are the file's."""
    return [entry] if ":" in entry else entry.split(",")

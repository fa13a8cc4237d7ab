"""``molmv fit``: an assay file in, a tested property model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molmv.cli import terminal

if TYPE_CHECKING:
    from molmv.predicting import FitResult


def fit(
    file: Annotated[str, typer.Argument(help="csv, tsv, smi (maybe gzipped) or parquet.")],
    target: Annotated[str, typer.Option("-t", "--target", help="The column of measured values.")],
    model: Annotated[
        str, typer.Option("-m", "--model", help="A student, a teacher or a checkpoint folder.")
    ] = "molmv-small",
    split: Annotated[
        Literal["scaffold", "random"], typer.Option("--split", help="Test on new scaffolds, or on molecules at random.")
    ] = "scaffold",
    test: Annotated[str | None, typer.Option("--test", help="A file to test on instead of a part of FILE.")] = None,
    head: Annotated[
        Literal["auto", "linear", "knn", "kernel", "forest"], typer.Option("--head", help="auto: the best in CV.")
    ] = "auto",
    task: Annotated[
        Literal["auto", "regression", "classification"], typer.Option("--task", help="auto: two values are classes.")
    ] = "auto",
    censored: Annotated[
        Literal["refuse", "drop", "keep-bound"], typer.Option("--censored", help="What to do with values like >100.")
    ] = "refuse",
    smiles_column: Annotated[
        str | None, typer.Option("-s", "--smiles-column", help="[default: smiles, in any case; else the only column]")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="A column to carry along.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A folder. [default: FILE_TARGET]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")] = False,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Of the cross-validation.")] = 5,
    level: Annotated[float, typer.Option("--level", help="Share of new values that an interval is to hold.")] = 0.9,
    seed: Annotated[int, typer.Option("--seed", help="Of split and folds.")] = 0,
    refit: Annotated[bool, typer.Option("--refit", help="After the test, fit again on all molecules.")] = False,
    mlflow: Annotated[
        str, typer.Option("--mlflow", metavar="URI", help="[default: MLFLOW_TRACKING_URI, else ./mlruns.db]")
    ] = "",
    no_mlflow: Annotated[bool, typer.Option("--no-mlflow", help="Do not log to MLflow.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar, no notes.")] = False,
) -> None:
    """Fit and test a property model on frozen embeddings.

    Every head is tuned by cross-validation inside the training part; the best is kept and tested beside ECFP with a
    random forest. The folder gets the model, all rows with their fate, tables and figures; MLflow the same.

    **Examples**

    `molmv fit assay.csv --target pIC50`

    `molmv fit assay.csv -t active --model minimol --split random --test later.csv -o model`
    """
    import warnings

    from molmv.predicting import fit as run

    with warnings.catch_warnings(record=True) as said, terminal.progress("trying heads", quiet) as progress:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        result = run(
            file,
            target,
            model,
            split=split,
            test=test,
            head=head,
            task=task,
            censored=censored,
            smiles_column=smiles_column,
            id_column=id_column,
            folds=folds,
            level=level,
            seed=seed,
            refit=refit,
            out=out,
            overwrite=overwrite,
            mlflow=None if no_mlflow else mlflow,
            device=device,
            progress=progress,
        )
    for warning in said:
        if "MLflow" in str(warning.message):
            terminal.note(f"warning: {warning.message}")
    _show(result, quiet)


def _show(result: FitResult, quiet: bool) -> None:
    table, figures = result.table, result.figures
    names = list(table[0].test)
    rows = [
        (line.name + (" *" if line.chosen else ""), _number(line.cv), *(_number(line.test[name]) for name in names))
        for line in table
    ]
    terminal.show_table(("model", f"cv {names[0]}", *(f"test {name}" for name in names)), rows)
    if quiet:
        return
    for note in result.notes:
        terminal.note(note)
    size = result.predictor.provenance["fit"]["molecules"]
    terminal.note(f"* kept; {size['train']} molecules to train on, {size['test']} to test on")
    if "difference.low" in figures:
        terminal.note(
            f"test {names[0]}: kept model minus baseline {figures['difference']:+.3f}, "
            f"95 % interval {figures['difference.low']:+.3f} to {figures['difference.high']:+.3f}"
        )
    if "test.coverage" in figures:
        terminal.note(
            f"intervals of ± {figures['interval.half_width']:.3g} hold {figures['test.coverage']:.0%} of the test "
            f"values (meant: {result.predictor.level:.0%}); {figures['test.in_domain']:.0%} of them are in the domain"
        )
    elif "test.calibration_error" in figures:
        terminal.note(
            f"probability of {result.predictor.classes[-1]!r}: calibration error "
            f"{figures['test.calibration_error']:.3f}; {figures['test.in_domain']:.0%} of the test are in the domain"
        )
    if result.run:
        terminal.note(f"MLflow run {result.run.run_id} at {result.run.uri}")
    terminal.note(f"-> {result.folder}; next: molmv predict {result.folder} new.csv -o predictions.csv")


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"

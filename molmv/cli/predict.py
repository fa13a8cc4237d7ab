"""``molmv predict``: a fitted model and a file of molecules in, a file of predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molmv.cli import terminal

if TYPE_CHECKING:
    from molmv.predicting import Predictor


def predict(
    model: Annotated[
        str, typer.Argument(metavar="RUN_OR_PATH", help="Folder of a fit, MLflow run id, runs:/… or models:/….")
    ],
    file: Annotated[str, typer.Argument(help="csv, tsv, smi (maybe gzipped) or parquet; - for stdin.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="csv or parquet. [default: FILE's name_predictions.csv]")
    ] = None,
    smiles_column: Annotated[
        str | None, typer.Option("-s", "--smiles-column", help="[default: smiles, in any case; else the only column]")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="A column to carry along.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    mlflow: Annotated[
        str, typer.Option("--mlflow", metavar="URI", help="Where the run is. [default: as in molmv fit]")
    ] = "",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ….")] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar, no summary.")] = False,
) -> None:
    """Predict for a file of molecules, one row of output for each row of input.

    `prediction` lies between `lower` and `upper`; `in_domain` says whether the molecule is as similar to a training
    molecule as those that the interval was measured on. A refused row has a status and a reason instead.

    **Example**

    `molmv predict assay_pIC50 new.csv -o predictions.csv`
    """
    from molmv.predicting import predict_file

    predictor = _load(model, mlflow, device)
    name = Path(file).name.removesuffix(".gz")
    out = out or Path(f"{'stdin' if file == '-' else Path(name).stem}_predictions.csv")
    with terminal.progress("predicting", quiet) as progress:
        summary = predict_file(
            predictor,
            file,
            out,
            overwrite=overwrite,
            progress=progress,
            smiles_column=smiles_column,
            id_column=id_column,
        )
    if not quiet:
        terminal.note(str(summary))


def _load(model: str, uri: str, device: str) -> Predictor:
    """From a folder, else from MLflow."""
    import tempfile

    from molmv.predicting import load_predictor

    if Path(model).exists():
        return load_predictor(model, device=device)
    if not (":/" in model or len(model) == 32 and model.isalnum()):
        from molmv.errors import InputError

        raise InputError(f"There is no folder {model}, and it is no MLflow run id.", "Give the folder of a molmv fit.")
    from molmv.tracking.runs import fetch_predictor

    with tempfile.TemporaryDirectory() as folder:
        return load_predictor(fetch_predictor(model, Path(folder), uri), device=device)

"""``molmv export``: a student as one ONNX file, which needs no torch where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal


def export(
    model: Annotated[str, typer.Argument(help="A student: its name, or a checkpoint folder.")] = "molmv-small",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", "--output", help="The file. [default: the student's name, .onnx]")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare both on 5,000 molecules.")] = False,
    molecules: Annotated[
        Path | None, typer.Option("--molecules", help="Verify on the first 5,000 of this file, not on built-in ones.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a student as an ONNX model.

    `molmv.onnx_student.OnnxStudent` turns SMILES into its embeddings with onnxruntime and RDKit alone; anything else
    that runs ONNX can give it graphs. What `--verify` found stands in the file's metadata; if the two differ by
    more than 1e-4, no file is written.

    **Examples**

    `molmv export molmv-small -o student.onnx --verify`

    `molmv export build/mine -o mine.onnx --verify --molecules library.csv`

    `molmv featurize smiles.csv --model student.onnx`
    """
    from molmv.exporting import TOLERANCE, export_onnx
    from molmv.models import load_student
    from molmv.table import open_table
    from molmv.trial_molecules import trial_molecules

    student = load_student(model, device="cpu")
    out = out or Path(f"{student.name}.onnx")
    smiles: Sequence[str | None] = ()
    if molecules is not None:
        smiles = next(open_table(molecules).chunks(5000)).values
    elif verify:
        smiles = trial_molecules()
    found = export_onnx(student, out, smiles, overwrite)
    terminal.note(f"{student.name}: {student.dim} dimensions, {out.stat().st_size / 1e6:.1f} MB -> {out}")
    if found is not None:
        terminal.note(
            f"verified on {found['molecules']:,} molecules: largest difference {found['max_abs_difference']:.1e} "
            f"(at most {TOLERANCE:.0e} is allowed)"
        )

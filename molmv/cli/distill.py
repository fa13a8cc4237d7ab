"""``molmv distill``: stores of teachers in, a student out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molmv.cli import terminal


def distill(
    config: Annotated[Path, typer.Argument(help="A distill.toml; see configs/ for examples.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of this config.")] = False,
    mlflow: Annotated[bool, typer.Option(help="Log to MLflow, if the config does.")] = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Distil the teachers of a config into one student.

    Needs the stores that `molmv teachers embed` makes. An interrupted run goes on with `--resume`, exactly as
    if it had not been interrupted.

    **Example**

    `molmv distill configs/molmv-small.toml --resume`
    """
    import logging
    import sys

    from molmv.errors import MissingExtraError

    try:
        from molmv.distill import distill as run
        from molmv.distill import read_config
    except ImportError as error:
        raise MissingExtraError("lightning", "distill") from error
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    plan = read_config(config)
    loggers = []
    if mlflow and plan.tracking.mlflow:
        from molmv.tracking import training_logger

        folder = Path(plan.output)
        loggers.append(
            training_logger(plan.tracking.experiment, plan.name, folder, plan.tracking.uri, plan.as_dict())
        )
    try:
        student = run(plan, resume=resume, loggers=loggers, progress=not quiet and sys.stderr.isatty())
    except KeyboardInterrupt as interrupt:
        terminal.note(f"interrupted; go on with: molmv distill {config} --resume")
        raise typer.Exit(130) from interrupt
    terminal.show(str(student))

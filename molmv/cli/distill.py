"""``molmv distill``: stores of teachers in, a student out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molmv.cli import terminal
from molmv.errors import MissingExtraError

if TYPE_CHECKING:
    from molmv.distill import DistillConfig
    from molmv.tracking.training import Logger


def distill(
    config: Annotated[Path, typer.Argument(help="A distill.toml; see configs/ for examples.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of this config.")] = False,
    mlflow: Annotated[bool, typer.Option(help="Log to MLflow, if the config does.")] = True,
    processes: Annotated[
        int, typer.Option(help="Processes that train together, on a GPU each or on this CPU; 0 = as the config says.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Distil the teachers of a config into one student.

    Needs the stores that `molmv teachers embed` makes. An interrupted run goes on with `--resume`, exactly as
    if it had not been interrupted.

    **Example**

    `molmv distill configs/molmv-small.toml --resume`
    """
    try:
        from molmv.distill import distill as run
        from molmv.distill import read_config
        from molmv.distill.config import config_of
    except ImportError as error:
        raise MissingExtraError("lightning", "distill") from error
    plan = read_config(config)
    if processes:
        plan = config_of({**plan.as_dict(), "train": {**vars(plan.train), "processes": processes}}, "--processes")
    loggers = _loggers(plan) if mlflow and plan.tracking.mlflow else ()
    try:
        student = run(plan, resume=resume, loggers=loggers, progress=not quiet and sys.stderr.isatty())
    except KeyboardInterrupt as interrupt:
        terminal.note(f"interrupted; go on with: molmv distill {config} --resume")
        raise typer.Exit(130) from interrupt
    terminal.show(str(student))


def _loggers(plan: DistillConfig) -> Iterator[Logger]:
    """The MLflow logger, opened when the training asks for it: a plan that is refused leaves no empty run behind."""
    from molmv.tracking.training import training_logger

    tracking = plan.tracking
    yield training_logger(tracking.experiment, plan.name, Path(plan.output), tracking.uri, plan.as_dict())

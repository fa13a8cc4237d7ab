"""A training in MLflow: a Lightning logger whose store may be down, or go away.

What the store cannot take is left out with a warning; the run's own CSV log has it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molmv.errors import MissingExtraError
from molmv.tracking.store import LOCAL, flat, impatient, local_uri, store_uri

try:
    from lightning.pytorch.loggers import Logger, MLFlowLogger
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
except ImportError as error:
    raise MissingExtraError("mlflow", "distill") from error

RUN_ID = "mlflow-run-id"
# Seconds for which a store that did not answer is not asked again.
PAUSE = 60.0


def training_logger(
    experiment: str, run_name: str, folder: Path, uri: str = "", parameters: Mapping[str, Any] | None = None
) -> Logger:
    """A Lightning logger that writes to MLflow.

    Args:
        experiment: its name; made if there is none.
        run_name: how the run is called.
        folder: of the run; the id of the MLflow run is kept there, so that a resumed run goes on in the same one.
        uri: of the tracking store; empty = what ``MLFLOW_TRACKING_URI`` says, else ``mlruns.db`` in the working
            directory.
        parameters: nested; logged flat, with dots.

    Where that store cannot be reached, the run is logged to ``mlruns.db`` in ``folder``, with a warning, for good.
    """
    uri, kept = store_uri(uri), folder / RUN_ID
    run_id = kept.read_text().strip() if kept.is_file() else ""
    folder.mkdir(parents=True, exist_ok=True)
    if not (run_id and (folder / LOCAL).is_file()):
        try:
            return _open(uri, experiment, run_name, kept, run_id, parameters or {})
        except Exception as error:  # a server that is down, a database that another process is just making, …
            text = f"MLflow at {uri} does not answer ({str(error)[:120]}); logging into {folder}."
            warnings.warn(text, stacklevel=2)
    return _open(local_uri(folder), experiment, run_name, kept, run_id, parameters or {})


def _open(uri: str, experiment: str, name: str, kept: Path, run_id: str, parameters: Mapping[str, Any]) -> Logger:
    """A logger to a store that answered: of run ``run_id`` if it is there, else of a new run."""
    with impatient():
        known = run_id if run_id and _holds(uri, run_id) else None
        logger = MLFlowLogger(experiment, name, tracking_uri=uri, run_id=known)
        if not known:
            logger.log_hyperparams(flat(parameters))
        kept.write_text(logger.run_id or "")
    return _Forgiving(logger)


def _holds(uri: str, run_id: str) -> bool:
    try:
        return bool(MlflowClient(uri).get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


class _Forgiving(Logger):  # type: ignore[misc]
    """A logger whose store may go away in the middle of a training: what it cannot take is left out."""

    def __init__(self, logger: MLFlowLogger) -> None:
        super().__init__()
        self._logger = logger
        self._again = 0.0  # when to ask the store next

    @property
    def name(self) -> str | None:
        """Id of the experiment."""
        name: str | None = self._logger.name
        return name

    @property
    def version(self) -> str | None:
        """Id of the run."""
        version: str | None = self._logger.version
        return version

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log parameters, if the store answers."""
        self._try("log_hyperparams", *args, **kwargs)

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """Log numbers, if the store answers."""
        self._try("log_metrics", *args, **kwargs)

    def finalize(self, status: str) -> None:
        """Close the run, if the store answers."""
        self._try("finalize", status)

    def _try(self, method: str, *args: Any, **kwargs: Any) -> None:
        if time.monotonic() < self._again:
            return
        try:
            with impatient():
                getattr(self._logger, method)(*args, **kwargs)
        except Exception as error:  # whatever it is, a training of hours is worth more
            self._again = time.monotonic() + PAUSE
            warnings.warn(f"MLflow could not take {method} ({str(error)[:120]}).", stacklevel=3)

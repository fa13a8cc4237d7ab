"""The one owner of MLflow: where runs are logged, and what happens when nobody answers there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from molmv.errors import MissingExtraError


def training_logger(
    experiment: str, run_name: str, folder: Path, uri: str = "", parameters: Mapping[str, Any] | None = None
) -> Any:
    """A Lightning logger that writes to MLflow.

    Args:
        experiment: its name; made if there is none.
        run_name: how the run is called.
        folder: of the run; the id of the MLflow run is kept there, so that a resumed run goes on in the same one.
        uri: of the tracking store; empty = what ``MLFLOW_TRACKING_URI`` says, else ``mlruns.db`` in the working
            directory.
        parameters: nested; logged flat, with dots.

    A store that cannot be reached never stops a training: it is logged to ``mlruns.db`` in ``folder`` with a warning.

    Raises:
        MissingExtraError: mlflow is not installed.
    """
    try:
        import mlflow  # noqa: F401
        from lightning.pytorch.loggers import MLFlowLogger
    except ImportError as error:
        raise MissingExtraError("mlflow", "distill") from error
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or f"sqlite:///{Path('mlruns.db').resolve()}"
    kept = folder / "mlflow-run-id"
    run_id = kept.read_text().strip() if kept.is_file() else None
    for target in (uri, f"sqlite:///{(folder / 'mlruns.db').resolve()}"):
        try:
            with _impatient():
                logger = MLFlowLogger(experiment, run_name, tracking_uri=target, run_id=run_id)
                logger.log_hyperparams(_flat(parameters or {}) if run_id is None else {})
        except Exception as error:  # a server that is down, a database that another process is just making, …
            warnings.warn(
                f"MLflow at {target} does not answer ({str(error)[:120]}); logging into {folder}.", stacklevel=2
            )
            run_id = None
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(logger.run_id or "")
        return logger
    raise AssertionError("a local sqlite file always answers")


@contextmanager
def _impatient() -> Iterator[None]:
    """While open, a server that is down is given up after seconds instead of minutes."""
    before = dict(os.environ)
    os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat

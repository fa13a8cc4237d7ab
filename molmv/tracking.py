"""The one owner of MLflow: where runs are logged, and what happens when nobody answers there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molmv.errors import MissingExtraError


def training_logger(experiment: str, run_name: str, folder: Path, uri: str = "", parameters: Mapping[str, Any] = {}) -> Any:  # noqa: B006
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
    import os

    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or f"sqlite:///{Path('mlruns.db').resolve()}"
    kept = folder / "mlflow-run-id"
    run_id = kept.read_text().strip() if kept.is_file() else None
    for target in (uri, f"sqlite:///{(folder / 'mlruns.db').resolve()}"):
        try:
            with _impatient():
                logger = MLFlowLogger(experiment, run_name, tracking_uri=target, run_id=run_id)
                logger.log_hyperparams(_flat(parameters) if run_id is None else {})
        except Exception as error:  # a server that is down, a database that another process is just making, …
            warnings.warn(f"MLflow at {target} does not answer ({str(error)[:120]}); logging into {folder}.", stacklevel=2)
            run_id = None
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(logger.run_id or "")
        return logger
    raise AssertionError("a local sqlite file always answers")


class _impatient:
    """While open, a server that is down is given up after seconds instead of minutes."""

    _SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}

    def __enter__(self) -> None:
        import os

        self._before = {name: os.environ.get(name) for name in self._SETTINGS}
        os.environ.update(self._SETTINGS)

    def __exit__(self, *_: object) -> None:
        import os

        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat

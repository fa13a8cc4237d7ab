"""Which tracking store a run goes to, and how to ask it without waiting or chatter."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCAL = "mlruns.db"
# What talks while a store is used; what matters is raised, or warned of here.
_LOGGERS = ("mlflow", "alembic", "lightning.pytorch.loggers.mlflow", "urllib3.connectionpool")
# A server that is down is given up after seconds, not minutes; its links and bars do not belong on the screen.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def store_uri(uri: str = "") -> str:
    """``uri``, else what ``MLFLOW_TRACKING_URI`` says, else ``mlruns.db`` in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI", "") or local_uri(Path())


def local_uri(folder: Path) -> str:
    """The store in a folder: one SQLite file."""
    return f"sqlite:///{(folder / LOCAL).resolve()}"


@contextmanager
def impatient(uri: str = "") -> Iterator[None]:
    """While open, MLflow waits seconds at most, unless the user set otherwise, and only says what is wrong.

    Args:
        uri: the store that MLflow takes for its default meanwhile; it needs one to follow the address of a model.

    The environment is as before afterwards; MLflow writes the address of the last store into it.
    """
    before = {name: os.environ.get(name) for name in (*_SETTINGS, "MLFLOW_TRACKING_URI")}
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    os.environ.update({name: value for name, value in _SETTINGS.items() if before[name] is None})
    if uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level, with dots: MLflow knows no other.

    >>> flat({"train": {"steps": 10}, "seed": 3})
    {'train.steps': 10, 'seed': 3}
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found

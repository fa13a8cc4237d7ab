"""A finished piece of work in MLflow: parameters, numbers, files and maybe a model, logged in one go."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.errors import InputError, MissingExtraError
from molmv.tracking.store import flat, impatient, local_uri, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = "mlartifacts"
MODEL = "model"


@dataclass(frozen=True)
class FinishedRun:
    """What there is to say of a run.

    Attributes:
        experiment: its name; made if there is none.
        name: how the run is called.
        folder: all files in it become artifacts.
        parameters: nested; logged flat, with dots.
        metrics: by name; those that are not finite are left out.
        tags: free text by name.
        predictor: folder of a fitted predictor, which becomes an MLflow model.
    """

    experiment: str
    name: str
    folder: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    predictor: Path | None = None


@dataclass(frozen=True)
class LoggedRun:
    """Where a run is found.

    Attributes:
        run_id: its id in that store.
        uri: of the store.
    """

    run_id: str
    uri: str


def log_run(run: FinishedRun, uri: str = "", fallback: Path | None = None) -> LoggedRun | None:
    """Log a run; where the store cannot be reached, into a store of its own, with a warning.

    Args:
        run: what to log.
        uri: of the tracking store; empty = the default of :func:`molmv.tracking.store.store_uri`.
        fallback: folder of the store that takes the run if the first does not. Default: the folder above the run's.

    Returns:
        Where it is; None if neither store took it, which only a disk that is full should do.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mlflow", "evaluate") from error
    local = fallback or run.folder.parent
    for place in (store_uri(uri), local_uri(local)):
        try:
            with impatient():
                return LoggedRun(_log(run, place), place)
        except Exception as error:  # whatever it is, the work is done and its files are there
            where = f"; logging into {local}" if place != local_uri(local) else f"; the files are in {run.folder}"
            said = " ".join(str(error).split())
            why = "nobody answers" if "connection" in said.lower() else said[:120]
            warnings.warn(f"MLflow at {place} did not take the run ({why}){where}.", stacklevel=2)
    return None


def _log(run: FinishedRun, uri: str) -> str:
    import math

    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(uri)
    experiment = _experiment(client, run.experiment, uri)
    run_id: str = client.create_run(experiment, run_name=run.name, tags=dict(run.tags)).info.run_id
    try:
        parameters = [Param(key, str(value)) for key, value in flat(run.parameters).items()]
        metrics = [Metric(k, float(v), 0, 0) for k, v in run.metrics.items() if math.isfinite(v)]
        client.log_batch(run_id, metrics, parameters)
        client.log_artifacts(run_id, str(run.folder))
        if run.predictor is not None:
            from molmv.tracking.model import log_model

            log_model(client, experiment, run_id, run.predictor)
    except Exception:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _experiment(client: MlflowClient, name: str, uri: str) -> str:
    """Its id. A new one in a local file keeps its artifacts beside that file, not where somebody happened to be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        local = uri.startswith("sqlite:///")
        beside = (Path(uri.removeprefix("sqlite:///")).resolve().parent / ARTIFACTS).as_uri() if local else None
        try:
            return str(client.create_experiment(name, artifact_location=beside))
        except MlflowException:  # somebody else has just made it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def fetch_predictor(run: str, folder: Path, uri: str = "") -> Path:
    """Bring the predictor that a run or a model registry holds to this machine.

    Args:
        run: id of a run, or an address that MLflow knows: ``runs:/…/model``, ``models:/name/1``.
        folder: where to put it.
        uri: of the tracking store, as in :func:`log_run`.

    Returns:
        The folder that :func:`molmv.load_predictor` takes.

    Raises:
        InputError: the store does not answer, or there is no such run or model.
        MissingExtraError: MLflow is not installed.
    """
    try:
        from mlflow.artifacts import download_artifacts

        # Not public, and the only way: a store that the user or Lightning set before would win over our address.
        from mlflow.tracking._tracking_service.utils import _use_tracking_uri
    except ImportError as error:
        raise MissingExtraError("mlflow", "evaluate") from error
    place = store_uri(uri)
    address = run if ":/" in run else f"runs:/{run}/{MODEL}"
    folder.mkdir(parents=True, exist_ok=True)  # MLflow does not, and then says that there is no such model
    try:
        with impatient(place), _use_tracking_uri(place):
            found = download_artifacts(artifact_uri=address, dst_path=str(folder), tracking_uri=place)
    except Exception as error:  # MLflow raises many kinds: a store that is down, a run that is not there, …
        why = " ".join(str(error).split())[:200]
        raise InputError(f"No model {run!r} can be had from MLflow at {place}: {why}", "Check both.") from error
    return Path(found) / "artifacts" / "predictor"

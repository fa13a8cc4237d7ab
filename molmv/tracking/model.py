"""A fitted predictor as an MLflow model: SMILES in, predictions with intervals out.

The model is a folder of plain arrays and JSON beside the few lines of :mod:`molmv.tracking.pyfunc_script` ("models
from code"): nothing is pickled, so that loading it needs trust in molmv alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.tracking.versions import requirements

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCRIPT = Path(__file__).with_name("pyfunc_script.py")
COLUMNS = {
    "status": "string",
    "reason": "string",
    "prediction": "double",
    "lower": "double",
    "upper": "double",
    "in_domain": "boolean",
    "similarity": "double",
}


def save_model(predictor: Path, path: Path, **identity: Any) -> None:
    """Write an MLflow model folder, which ``mlflow models serve -m`` takes.

    Args:
        predictor: folder of a fitted predictor.
        path: where the model goes; must not exist.
        identity: fields of :class:`mlflow.models.Model`.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "smiles")]),
        outputs=Schema([ColSpec(kind, name) for name, kind in COLUMNS.items()]),
    )
    pyfunc.save_model(
        path=str(path),
        python_model=str(SCRIPT),
        artifacts={"predictor": str(predictor)},
        signature=signature,
        pip_requirements=requirements(),
        mlflow_model=Model(**identity),
    )


def log_model(client: MlflowClient, experiment: str, run_id: str, predictor: Path) -> str:
    """Log the model of a run; MLflow then finds it as ``runs:/RUN_ID/model``.

    Done through the client alone: the module-wide state of ``mlflow`` belongs to the user.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    from molmv.tracking.runs import MODEL

    logged = client.create_logged_model(experiment, MODEL, run_id)
    identity = {"artifact_path": logged.artifact_location, "model_uuid": logged.model_id}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        save_model(predictor, path, run_id=run_id, model_id=logged.model_id, **identity)
        client.log_model_artifacts(logged.model_id, str(path))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)

"""A student as an MLflow model: SMILES in, embeddings with a status out. Like that of a predictor, without a pickle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.errors import InputError, MissingExtraError
from molmv.tracking.versions import STUDENT, requirements

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo
    from mlflow.pyfunc import PyFuncModel

SCRIPT = Path(__file__).with_name("student_script.py")
FILES = ("config.json", "model.safetensors", "README.md")
EXAMPLE = {"smiles": ["CCO", "c1ccccc1O"]}


def save_model(folder: Path, path: Path) -> None:
    """Write an MLflow model folder of the student in ``folder``; see :func:`molmv.pyfunc.save_model`."""
    pyfunc = _pyfunc()
    with _artifacts(folder) as artifacts:
        pyfunc.save_model(path=str(path), artifacts=artifacts, **_description())


def log_model(folder: Path, name: str, registered_model_name: str | None) -> ModelInfo:
    """Log the student in ``folder`` to the active run of MLflow; see :func:`molmv.pyfunc.log_model`."""
    pyfunc = _pyfunc()
    with _artifacts(folder) as artifacts:
        return pyfunc.log_model(
            name=name, artifacts=artifacts, registered_model_name=registered_model_name, **_description()
        )


def load_model(uri: str) -> PyFuncModel:
    """A student that was saved or logged; see :func:`molmv.pyfunc.load_model`.

    An MLflow model may hold a pickle or a script, which MLflow runs when it loads it. Here only the student's own files
    are taken out of it, and the script is that of this installation.
    """
    pyfunc = _pyfunc()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    from molmv.student.checkpoint import load_checkpoint

    with tempfile.TemporaryDirectory() as temporary:
        try:
            there = Path(uri) if Path(uri).is_dir() else Path(download_artifacts(uri, dst_path=temporary))
        except (MlflowException, OSError) as error:
            why = " ".join(str(error).split())[:200]
            hint = "Check the address and MLFLOW_TRACKING_URI."
            raise InputError(f"MLflow has no model {uri!r}: {why}", hint) from error
        folder = there / "artifacts" / "student"
        if not (folder / FILES[0]).is_file():
            raise InputError(
                f"The model {uri!r} is not a student that molmv saved, and may run any code when it is loaded.",
                "If you trust it, load it with mlflow.pyfunc.load_model.",
            )
        load_checkpoint(folder)  # says what is wrong, in words of ours
        ours = Path(temporary) / "ours"
        with _artifacts(folder) as artifacts:
            pyfunc.save_model(path=str(ours), artifacts=artifacts, **_description(example=False))
        return pyfunc.load_model(str(ours))


def _description(example: bool = True) -> dict[str, Any]:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    outputs = [
        ColSpec("string", "status"),
        ColSpec("string", "reason"),
        ColSpec(Array(DataType.float), "embedding", required=False),
    ]
    return {
        "python_model": str(SCRIPT),
        "signature": ModelSignature(Schema([ColSpec("string", "smiles")]), Schema(outputs)),
        "input_example": pd.DataFrame(EXAMPLE) if example else None,
        "pip_requirements": requirements(STUDENT),
    }


@contextmanager
def _artifacts(folder: Path) -> Iterator[dict[str, str]]:
    """The student's own files, and not what else lies in its folder."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "student"
        copy.mkdir()
        for name in FILES:
            if (folder / name).is_file():
                shutil.copy(folder / name, copy)
        yield {"student": str(copy)}


def _pyfunc() -> Any:
    try:
        from mlflow import pyfunc
    except ImportError as error:
        raise MissingExtraError("mlflow", "distill") from error
    return pyfunc

"""Students as MLflow models: ``save_model``, ``log_model`` and ``load_model``, as MLflow's own flavours have them.

The model takes a data frame with the column ``smiles`` and gives ``status``, ``reason`` and ``embedding`` (a list; None
where the row was refused), row by row. ``mlflow models serve`` serves it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from molmv.errors import InputError
from molmv.models import load_student
from molmv.tracking import student_model

if TYPE_CHECKING:
    from molmv.student.embed import Student

__all__ = ["load_model", "log_model", "save_model"]


def save_model(student: str | Path | Student, path: str | Path) -> None:
    """Write a student as an MLflow model folder, with signature, input example and pinned requirements.

    Args:
        student: name, checkpoint folder, or what :func:`molmv.load_student` gives.
        path: must not exist.

    Raises:
        InputError: a student that is from no folder.
        UnknownNameError, CheckpointError: see :func:`molmv.load_student`.
        MissingExtraError: MLflow is not installed.
    """
    student_model.save_model(_folder(student), Path(path))


def log_model(
    student: str | Path | Student, name: str = "student", registered_model_name: str | None = None
) -> student_model.ModelInfo:
    """Log a student to the active run of MLflow, or to a new one.

    Args:
        student: as in :func:`save_model`.
        name: of the logged model.
        registered_model_name: also register it under this name.

    Returns:
        What MLflow says of it; ``.model_uri`` is its address.

    Raises:
        InputError, UnknownNameError, CheckpointError, MissingExtraError: as :func:`save_model`.
    """
    return student_model.log_model(_folder(student), name, registered_model_name)


def load_model(uri: str | Path) -> student_model.PyFuncModel:
    """A logged or saved student, ready to ``predict``.

    Args:
        uri: ``models:/…``, ``runs:/…/student``, or the folder of a saved model.

    Raises:
        InputError: MLflow has no such model, or it is not a student that molmv saved.
        CheckpointError: the student in it is damaged.
        MissingExtraError: MLflow is not installed.
    """
    return student_model.load_model(str(uri))


def _folder(student: str | Path | Student) -> Path:
    loaded = load_student(student, device="cpu") if isinstance(student, str | Path) else student
    if loaded.folder is None:
        raise InputError(f"Student {loaded.name!r} is from no folder.", "Save it first.")
    return loaded.folder

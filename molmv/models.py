"""From a name or a path to something that embeds: a released student, a checkpoint, or a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from molmv import adapters, cards
from molmv.cards import TeacherCard
from molmv.documents import read_json
from molmv.errors import MolmvError, UnknownNameError, did_you_mean
from molmv.teacher import Teacher

if TYPE_CHECKING:
    from molmv.embedder import Embedder
    from molmv.student.embed import Student

CONFIG = "config.json"  # of a checkpoint


def student_folder() -> Path:
    """The folder of the released students: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "students"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "students"


def student_names() -> tuple[str, ...]:
    """Names of the students that ship with molmv."""
    return tuple(sorted(path.parent.name for path in student_folder().glob("*/config.json")))


def list_teachers() -> list[TeacherCard]:
    """The cards of all teachers that ship with molmv, sorted by name."""
    return [cards.load_card(name) for name in cards.card_names()]


def load_teacher(name: str, device: str = "auto") -> Teacher:
    """A teacher by the name of its card, the path of a card, or ``skfp:NAME[-count]``.

    Raises:
        UnknownNameError, CardError, MissingExtraError, WeightsError: see :func:`molmv.adapters.load_teacher`.
    """
    return adapters.load_teacher(cards.load_card(name), device)


def load_student(name_or_path: str | Path, device: str = "auto", batch_size: int | None = None) -> Student:
    """A released student by name, or any checkpoint folder, or the folder of the run that holds one.

    Raises:
        UnknownNameError: neither a student's name nor a folder.
        CheckpointError: the folder is not a checkpoint, or was damaged.
    """
    from molmv.student.embed import Student

    if str(name_or_path) not in student_names() and not Path(name_or_path).is_dir():
        raise UnknownNameError(
            f"{str(name_or_path)!r} is neither a released student nor a folder.",
            did_you_mean(
                str(name_or_path), student_names(), f"Released students: {', '.join(student_names()) or 'none'}."
            ),
        )
    return Student.load(_checkpoint(name_or_path), device=device, batch_size=batch_size)


def _checkpoint(name_or_path: str | Path) -> Path:
    """The checkpoint folder of a released student, or in the folder of a run."""
    path = Path(name_or_path)
    if str(name_or_path) in student_names():
        path = student_folder() / str(name_or_path)
    inside = path / "student"
    return inside if not (path / CONFIG).exists() and (inside / CONFIG).exists() else path


def modality_of(name_or_path: str) -> str:
    """What a model reads, told from its card or config alone; ``molecule`` where loading it would be an error."""
    from molmv.student import KINDS

    named = name_or_path in cards.card_names()
    try:
        if name_or_path in student_names() or (not named and Path(name_or_path).is_dir()):
            kind = read_json(_checkpoint(name_or_path) / CONFIG)["kind"]
            return KINDS[kind].modality
        return cards.load_card(name_or_path).modality
    except (MolmvError, OSError, ValueError, LookupError, TypeError):
        return "molecule"


def load_embedder(name_or_path: str, device: str = "auto", batch_size: int | None = None) -> Embedder:
    """A student (name, checkpoint folder or ``.onnx`` file) or a teacher (name, card, ``skfp:…``).

    Raises:
        UnknownNameError: no such thing; lists what there is.
    """
    if name_or_path.endswith(".onnx") and Path(name_or_path).is_file():
        from molmv.onnx_student import OnnxStudent

        return OnnxStudent(name_or_path, batch_size=batch_size)
    named = name_or_path in cards.card_names()  # wins over a folder of that name, which may well be its store
    if name_or_path in student_names() or (not named and Path(name_or_path).is_dir()):
        return load_student(name_or_path, device, batch_size)
    try:
        teacher = load_teacher(name_or_path, device)
    except UnknownNameError as error:
        students = ", ".join(student_names()) or "none"
        hint = did_you_mean(name_or_path, [*student_names(), *cards.card_names()], error.hint)
        raise UnknownNameError(f"No model is called {name_or_path!r} (students: {students}).", hint) from error
    if batch_size:
        teacher.batch_size = batch_size
    return teacher

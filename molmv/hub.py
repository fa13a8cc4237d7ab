"""Students in the layout of the Hugging Face hub: ``config.json``, ``model.safetensors``, and a card, ``README.md``.

A checkpoint is such a folder already. Here it is copied with its card, sent to the hub, and fetched from there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.errors import CheckpointError, InputError, MissingExtraError, OutputError
from molmv.models import load_student

if TYPE_CHECKING:
    from molmv.student.embed import Student

CARD = "README.md"
WEIGHTS = ("config.json", "model.safetensors")
VOCABULARIES = ("tokenizer.json",)


def save_pretrained(student: str | Path | Student, folder: str | Path, overwrite: bool = False) -> Path:
    """Write a student as a model repository.

    Args:
        student: name, checkpoint folder, or what :func:`molmv.load_student` gives.
        folder: made if it is not there.
        overwrite: replace the student that it holds.

    Returns:
        The folder, which :func:`from_pretrained` and :func:`molmv.load_student` take.

    Raises:
        OutputError: the folder holds a student, or cannot be written.
        InputError: a student that is from no folder.
        UnknownNameError, CheckpointError: see :func:`molmv.load_student`.
        MissingExtraError: huggingface_hub, which writes the card of a student without one, is not installed.
    """
    from molmv.student.checkpoint import load_checkpoint

    loaded = load_student(student, device="cpu") if isinstance(student, str | Path) else student
    source, folder = loaded.folder, Path(folder)
    if source is None:
        raise InputError(f"Student {loaded.name!r} is from no folder.", "Save its checkpoint first.")
    if (folder / WEIGHTS[0]).exists() and not overwrite:
        raise OutputError(f"{folder} holds a student.", "Give overwrite=True, or choose another folder.")
    own = source / CARD
    card = own.read_text(encoding="utf-8") if own.is_file() else _card(loaded)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*load_checkpoint(source).files, *reversed(WEIGHTS)):  # the config last: a folder with one is whole
            if (source / name).resolve() != (folder / name).resolve():
                shutil.copyfile(source / name, folder / name)
        (folder / CARD).write_text(card, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror}.", "Name another folder.") from error
    return folder


def push_to_hub(
    student: str | Path | Student, repo: str, *, private: bool = True, token: str | None = None, message: str = ""
) -> str:
    """Send a student with its card to the hub; makes the repository if there is none.

    Args:
        student: as in :func:`save_pretrained`.
        repo: ``name/student``.
        private: of a repository that is made.
        token: of the hub; by default that of ``hf auth login``.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        OutputError: the hub does not answer, or refuses.
        InputError, UnknownNameError, CheckpointError, MissingExtraError: as :func:`save_pretrained`.
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(student, Path(temporary) / "student")
        try:
            api = hub.HfApi(token=token, library_name="molmv")
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, commit_message=message or "Add a student of molmv"
            )
        except Exception as error:  # of the hub, of HTTP, of the network
            why = " ".join(str(error).split())[:200]
            raise OutputError(f"The hub did not take {repo}: {why}", "Check name, token and network.") from error
    return str(commit.commit_url)


def from_pretrained(
    repo: str | Path, *, revision: str | None = None, sha256: str | None = None, device: str = "auto", **fetch: Any
) -> Student:
    """A student from a folder, or from the hub by ``name/student``; what was fetched once is in the hub's cache.

    Args:
        repo: a folder, or a name on the hub.
        revision: branch, tag or commit on the hub.
        sha256: of the weights (``digest`` in ``config.json``). Without it the files are checked against each other
            only, and whoever can write to the repository can change both.
        device: ``cpu``, ``cuda``, ``auto``.
        **fetch: of ``huggingface_hub.snapshot_download``: ``token``, ``cache_dir``, ``local_files_only``, ….

    Raises:
        InputError: no such repository, or no network and not in the cache.
        CheckpointError: no student, a damaged one, or other weights than ``sha256``.
        MissingExtraError: huggingface_hub is not installed.
    """
    folder = Path(repo)
    if not folder.is_dir():
        hub = _hub()
        try:
            wanted = [*WEIGHTS, *VOCABULARIES, CARD]
            folder = Path(hub.snapshot_download(str(repo), revision=revision, allow_patterns=wanted, **fetch))
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"No student {str(repo)!r} can be had from the hub: {why}", "Check the name.") from error
    student = load_student(folder, device)
    if sha256 is not None and student.digest != sha256:
        raise CheckpointError(
            f"{repo} holds other weights: expected sha256 {sha256}, found {student.digest}.", "Pin the revision."
        )
    return student


def _card(student: Student) -> str:
    """A model card of what the checkpoint says of itself."""
    from molmv.student.checkpoint import trainings

    hub = _hub()
    runs = trainings(student.provenance)
    teachers = {name: made for run in runs for name, made in run.get("teachers", {}).items()}
    rows = [f"| {name} | {made.get('licence', 'unknown')} |" for name, made in teachers.items()]
    metadata = hub.ModelCardData(library_name="molmv", tags=["chemistry", "molecules", "embeddings", "distillation"])
    table = ["## Teachers", "", "| teacher | licence |", "|---|---|", *rows, ""] if rows else []
    text = [
        f"# {student.name}",
        "",
        f"A molecular student of {student.dim} dimensions, distilled by molmv. SMILES in, embeddings out.",
        "",
        "```python",
        "from molmv.hub import from_pretrained",
        "",
        'student = from_pretrained("THIS REPOSITORY")',
        "```",
        "",
        *table,
        f"SHA-256 of the weights: `{student.digest}`. `config.json` holds teachers, corpus and settings.",
    ]
    return f"---\n{metadata.to_yaml()}\n---\n" + "\n".join(text) + "\n"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hf") from error
    return huggingface_hub

"""Tasks as a protocol wants them, kept in the cache: reading and checking the 32 sets of ``paper`` takes minutes.

The key holds the bytes of the files, the protocol's version and the versions of the libraries that decide which rows
stay. A user's file is read every time.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from molmv.atomic import replacing
from molmv.evaluate.protocol import Evaluation
from molmv.evaluate.sources import files
from molmv.evaluate.tasks import Task, load_task
from molmv.modality import of
from molmv.npz import Npz
from molmv.weights import cache_folder

_TEXTS, _COUNTS = ("given", "canonical", "labels"), ("refused", "merged", "conflicts")


def load_prepared_task(name: str, protocol: Evaluation, censored: str = "refuse") -> Task:
    """A task with the rows and labels of a protocol.

    Raises:
        InputError, UnknownNameError: see :func:`molmv.evaluate.tasks.load_task`.
    """
    path = _kept(name, protocol)
    if path is None:
        return protocol.prepare(load_task(name, protocol.suite, censored))
    try:
        return _read(path)
    except (OSError, ValueError, TypeError):
        pass  # not there, or damaged
    task = protocol.prepare(load_task(name, protocol.suite, censored))
    if not of(task.modality).spells:
        return task  # pixels are read as quickly from where they came
    with replacing(path, shared=True, parents=True) as temporary, temporary.open("wb") as file:
        texts: dict[str, Any] = {key: np.array(getattr(task, key), dtype=np.str_) for key in _TEXTS}
        counts = np.array([getattr(task, key) for key in _COUNTS])
        about = np.array([task.name, task.kind, task.modality])
        test = np.zeros(0, dtype=bool) if task.test is None else task.test
        np.savez_compressed(file, about=about, Y=task.Y, test=test, counts=counts, **texts)
    return task


def _read(path: Path) -> Task:
    with Npz(path) as found:
        name, kind, modality = found.array("about").tolist()
        given, canonical, labels = (tuple(found.array(key).tolist()) for key in _TEXTS)
        test = found.array("test") if len(found.array("test")) else None
        counts = dict(zip(_COUNTS, found.array("counts").tolist(), strict=True))
        return Task(name, kind, given, canonical, found.array("Y"), labels, test, **counts, modality=modality)


def _kept(name: str, protocol: Evaluation) -> Path | None:
    """Where the task is kept; None for a file of the user."""
    # A protocol may look a set up in another suite than its own: all files of that name count.
    parts = [file.sha256 for file in files() if file.name.lower() == name.lower()]
    if not parts:
        return None
    versions = [f"{package} {_version(package)}" for package in ("rdkit", "selfies", "molmv")]
    key = hashlib.sha256("\n".join([*parts, *versions]).encode()).hexdigest()[:16]
    return cache_folder() / "evaluate" / "tasks" / f"{protocol.name}-v{protocol.version}-{name.lower()}-{key}.npz"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""

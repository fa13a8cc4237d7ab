"""A folder as a table: one row a file, in the order of their names.

Hidden files and folders are passed over. A link is a row like any other as long as its target lies inside the folder;
one that leaves it is refused, and so is a link to a folder, which would be there twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from molmv.hashing import sha256


def files_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Relative path, with ``/``, of every file below a folder, sorted; and what is wrong with it, or ``""``.

    Raises:
        OSError: a folder cannot be read.
    """
    found = []
    inside = folder.resolve()
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in (*links, *names):
            path = Path(place) / name
            problem = ""
            if path.is_symlink():
                if name in links:
                    problem = "a link to a folder"
                elif not path.resolve().is_relative_to(inside):
                    problem = "a link that leaves the folder"
            if not name.startswith("."):
                found.append((path.relative_to(folder).as_posix(), problem))
    yield from sorted(found)


def digest(folder: Path) -> str:
    """SHA-256 (hex) of the names and the bytes of all files below a folder.

    Raises:
        OSError: one cannot be read.
    """
    whole = hashlib.sha256()
    for name, problem in files_below(folder):
        path = folder / name
        content = problem or (sha256(path) if path.is_file() else "no file")
        whole.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _raise(error: OSError) -> None:
    raise error

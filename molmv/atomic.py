"""Files appear whole or not at all: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from molmv.errors import OutputError

# What the system answers when it takes no more, of a disk, a quota or a limit of sizes, or from this user.
REFUSALS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
REFUSALS |= {errno.EDQUOT} if hasattr(errno, "EDQUOT") else set()


@contextmanager
def writing_to(output: Path) -> Iterator[None]:
    """Gives a name to what the system refuses to a body that writes by the hands of others.

    Args:
        output: what is written, for a refusal that names no file.

    Raises:
        OutputError: the system refuses to write.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in REFUSALS:
            raise
        raise _refused(error.filename or output, error) from error


@contextmanager
def replacing(path: Path, overwrite: bool = True, shared: bool = False, parents: bool = False) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` when the body ends well, and vanishes when it does not.

    Args:
        path: where the file goes.
        overwrite: whether it may exist already.
        shared: another process may be writing it too, as in a cache, and the last one wins. What a killed run leaves
            of its temporary file then stays.
        parents: make its folder, which must exist otherwise.

    Raises:
        OutputError: it exists and may not be replaced, or the system refuses to write.
    """
    if parents:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(path, error) from error
    check_writable(path, overwrite)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp" if shared else f"{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a killed run, or a link: what it points to is not ours to write
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OutputError:
        raise
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with suppress(OSError):  # it is gone, or a folder, or may not even be removed
            temporary.unlink()


def check_writable(path: Path, overwrite: bool) -> None:
    """Refuse a path where no file can or may go.

    Raises:
        OutputError: it is a folder, its folder is missing, or it exists and may not be replaced.
    """
    try:
        folder, parent, exists = path.is_dir(), path.parent.is_dir(), path.exists()
    except OSError as error:  # a folder that may not be looked into
        raise _refused(path, error) from error
    if folder:
        raise OutputError(f"{path} is a folder.", "Name a file in it.")
    if not parent:
        raise OutputError(f"The folder {path.parent} of {path.name} does not exist.", "Make it first.")
    if exists and not overwrite:
        raise OutputError(f"{path} exists.", "Replace it with --overwrite (overwrite=True), or choose another name.")


def _refused(path: Path | str, error: OSError) -> OutputError:
    return OutputError(f"Cannot write {path}: {error.strerror or error}.", "Check the disk and its rights.")


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; only POSIX can open a folder for that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

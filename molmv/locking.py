"""One writer an output: a lock that its process holds, and that the system lets go when the process dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from molmv.errors import OutputError

LOCK = ".lock"


@contextmanager
def locked(file: Path, output: Path) -> Iterator[None]:
    """Hold the lock of an output while the body runs. A file left by a process that died locks nobody out.

    Args:
        file: the lock; its folder must exist. It is removed at the end.
        output: what is written, for the message.

    Raises:
        OutputError: another process holds it, or the file cannot be made.
    """
    lock = FileLock(file, timeout=0)
    try:
        try:
            lock.acquire()
        except Timeout:
            raise OutputError(f"Another run is writing {output}.", "Wait for it, or choose another name.") from None
        except OSError as error:
            raise OutputError(f"Cannot write {file}: {error.strerror}.", "Check the folder and its rights.") from error
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # whatever ended the body is worth more than this
                file.unlink()  # while it is held: who opened it meanwhile finds that it is gone
            lock.release()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock while the body runs; a folder that stays empty goes away.

    Raises:
        OutputError: another process holds it, or the folder cannot be made.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {folder}: {error.strerror}.", "Name another one.") from error
    try:
        with locked(folder / LOCK, folder):
            yield
    finally:
        if new:
            with suppress(OSError):  # not empty
                folder.rmdir()

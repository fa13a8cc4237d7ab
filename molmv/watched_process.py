"""The side of a watched process: it loads a model, embeds what it is sent, and gives signs of life."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from molmv import heartbeat
from molmv.errors import MolmvError, TeacherError
from molmv.table import Chunk

# Status of each row of a chunk, then arrays with one entry a row.
Embedded = tuple[Any, ...]
Work = Callable[[Chunk], Embedded]

BEAT_SECONDS = 0.5  # at most one sign of life in this time


def serve(connection: Connection, make: Callable[..., Work], arguments: tuple[Any, ...], one_thread: bool) -> None:
    """Load a model, say so, and embed chunk after chunk until the watcher hangs up.

    Args:
        connection: to the watcher; gets pairs of ``ready``, ``alive``, ``done`` or ``failed`` and what there is to say.
        make: see :class:`molmv.supervising.Worker`.
        arguments: of ``make``.
        one_thread: whether the processes are the parallelism.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says when to stop
    _end_with_parent()
    if one_thread:
        os.environ["OMP_NUM_THREADS"] = "1"
    try:
        work = make(*arguments)
    except MolmvError as error:
        connection.send(("failed", error))
        return
    except Exception as error:
        connection.send(("failed", TeacherError(f"The model cannot be loaded: {_said(error)}.")))
        return
    connection.send(("ready", getattr(work, "said", None)))
    last = 0.0

    def alive() -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_SECONDS:
            connection.send(("alive", None))
            last = time.monotonic()

    heartbeat.listen(alive)
    while True:
        try:
            chunk = connection.recv()
        except EOFError:
            return
        last = time.monotonic()
        try:
            connection.send(("done", work(chunk)))
        except MolmvError as error:
            connection.send(("failed", error))
        except Exception as error:
            connection.send(("failed", _said(error)))


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _end_with_parent() -> None:
    """Ask Linux to kill this process with its parent: one that is stuck would never notice."""
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
        parent = parent_process()
        if parent is not None and not parent.is_alive():  # it died before it could be watched
            os._exit(1)

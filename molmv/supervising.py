"""Processes that embed, watched: a molecule that kills, stalls or bloats one costs its own row, not the run.

RDKit's C++ hears no signal and cannot be interrupted from within. So each process is ended from outside when it gives
no sign of life for too long or takes too much memory, and replaced. Its chunk is then walked piece by piece and row by
row to find the culprits, and embedded again without them, as if they had been refused unseen.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from molmv.errors import MolmvError, TeacherError
from molmv.limits import Limits
from molmv.rows import CRASHED, ERROR, TIMEOUT, Rows
from molmv.table import Chunk
from molmv.watched_process import Embedded, Work, serve

LOOK_SECONDS = 0.1  # between two looks at a process
HOPELESS = 20  # failures in a row, after which it is rather the model


class _LostError(Exception):
    """An attempt that gave no vectors: the status that a single row gets for it, and the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Worker:
    """One watched process.

    Args:
        make: called in the process with ``arguments``, gives the function that embeds chunks; importable by name.
        arguments: picklable.
        limits: of one molecule.
        workers: how many there are beside each other; one alone may use every core.

    Attributes:
        said: the attribute ``said`` of the function, once the process has started.
    """

    def __init__(self, make: Callable[..., Work], arguments: Sequence[Any], limits: Limits, workers: int = 1) -> None:
        self._make, self._arguments, self._limits, self._workers = make, tuple(arguments), limits, workers
        self._memory = limits.bytes(workers)
        self._slowest = 0.0  # seconds between two signs of life of work that ended well
        self._lost = 0  # attempts in a row
        self._good: Chunk | None = None  # one row that went well
        self._closed = threading.Event()
        self._process: Any = None
        self._connection: Connection
        self.said: Any = None

    def start(self) -> None:
        """Begin to load the model; :meth:`wait` says when it is there."""
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self._make, self._arguments, self._workers > 1)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def wait(self) -> None:
        """Until the model is loaded.

        Raises:
            TeacherError: the process died; whatever loading raises comes through.
        """
        try:
            kind, said = self._connection.recv()
        except (EOFError, OSError):
            why = self._how_it_ended()
            self.close()
            raise TeacherError(f"The process that loads the model {why}.", "Is there enough memory for it?") from None
        if kind == "failed":
            self.close()
            raise said
        self.said = said

    def close(self) -> None:
        """End the process; from another thread too."""
        self._closed.set()
        process = self._process
        if process is not None:
            process.kill()
            process.join()

    def embed(self, chunk: Chunk) -> Embedded:
        """Status and vectors of a chunk; rows that cost too much are refused as ``timeout`` or ``crashed``.

        Raises:
            TeacherError: the model fails on everything. Other errors of molmv come through as they are.
        """
        refused: dict[int, _LostError] = {}
        walked = False  # and no row failed alone
        while True:
            try:
                rows, *arrays = self._attempt(_without(chunk, refused))
                break
            except _LostError as loss:
                if len(refused) == len(chunk):
                    raise TeacherError(f"The model fails even where there is no molecule: {loss.reason}.") from loss
                if len(chunk) == 1:
                    found = {0: loss} if walked else {}
                elif walked:  # the rows fail only together, and not by chance
                    rows, *arrays = self._by_halves(_without(chunk, refused))
                    break
                else:
                    found = self._culprits(chunk, refused)
                walked = not found
                refused |= found
        for i, culprit in refused.items():
            rows.refuse(i, culprit.status, culprit.reason)
        return rows, *arrays

    def _culprits(self, chunk: Chunk, known: dict[int, _LostError]) -> dict[int, _LostError]:
        """The rows that fail alone: by pieces of about √n rows, then one by one in the pieces that fail."""
        found: dict[int, _LostError] = {}
        start, size = time.monotonic(), math.isqrt(len(chunk))
        left = [i for i in range(len(chunk)) if i not in known]
        for first in range(0, len(left), size):
            piece = left[first : first + size]
            try:
                if size >= 4:
                    self._attempt(take(chunk, piece))
                    continue
            except _LostError:
                pass
            for i in piece:
                try:
                    self._attempt(take(chunk, [i]))
                except _LostError as loss:
                    found[i] = loss
                    self._check_hope(chunk, i, loss)
        if not found:  # slow rather than stuck
            self._slowest = max(self._slowest, time.monotonic() - start)
        return found

    def _by_halves(self, chunk: Chunk) -> Embedded:
        middle = len(chunk) // 2
        parts = [range(middle), range(middle, len(chunk))]
        (rows, *arrays), (more, *others) = (self.embed(take(chunk, part)) for part in parts)
        return Rows.joined([rows, more]), *(np.concatenate(pair) for pair in zip(arrays, others, strict=True))

    def _check_hope(self, chunk: Chunk, row: int, loss: _LostError) -> None:
        """After many failures in a row, try what went well before.

        Raises:
            TeacherError: it does not any more, or nothing ever did.
        """
        if self._lost < HOPELESS:
            return
        try:
            if self._good is not None:
                self._attempt(self._good)
                return
        except _LostError:
            pass
        raise TeacherError(
            f"The model failed {self._lost} times one after the other, at last on row {chunk.start + row}: "
            f"{loss.reason}.",
            "It seems to be the model or the machine, not the molecules: try a few rows with --timeout 0.",
        ) from loss

    def _attempt(self, chunk: Chunk) -> Embedded:
        if self._process is None:
            self._check_open()
            self.start()
            self.wait()
        since = time.monotonic()
        try:
            self._connection.send(chunk)
            while True:
                self._check_open()
                if self._connection.poll(LOOK_SECONDS):
                    kind, value = self._connection.recv()
                    gap, since = time.monotonic() - since, time.monotonic()
                    self._slowest = max(self._slowest, gap)
                    if kind == "done":
                        self._lost, self._good = 0, self._good or _good_row(chunk, value[0])
                        return value
                    if kind == "failed" and isinstance(value, MolmvError):
                        raise value
                    if kind == "failed":
                        self._lost += 1
                        raise _LostError(ERROR, value)
                elif time.monotonic() - since > self._limits.seconds + 3 * self._slowest:
                    raise self._loss(TIMEOUT, f"took longer than {self._limits.seconds:g} s")
                if (used := self._resident()) > self._memory:
                    allowed = self._memory / 2**30
                    raise self._loss(CRASHED, f"took {used / 2**30:.1f} GiB of memory; {allowed:.1f} are allowed")
        except (EOFError, OSError):
            raise self._loss(CRASHED, f"the process that embedded it {self._how_it_ended()}") from None

    def _loss(self, status: str, reason: str) -> _LostError:
        self._check_open()
        self._lost += 1
        self._kill()
        return _LostError(status, reason)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise TeacherError("The process that embeds was stopped.")

    def _resident(self) -> int:
        import psutil

        try:
            return psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return 0

    def _how_it_ended(self) -> str:
        self._check_open()
        self._process.join(10)
        code = self._process.exitcode
        if code is None:
            return "fell silent"
        if code >= 0:
            return f"ended with code {code}"
        name = signal.Signals(-code).name if -code in iter(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (
            ", perhaps for want of memory" if -code == getattr(signal, "SIGKILL", 0) else ""
        )

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
            self._connection.close()


@dataclass(frozen=True)
class Pool:
    """Some watched processes; made by :func:`supervised`.

    Attributes:
        said: what their function says of itself, see :class:`Worker`.
    """

    said: Any
    _submit: Callable[[Chunk], Future[Embedded]]
    _ahead: int

    def embed(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Embedded]]:
        """Chunks and what became of them, in order; a few wait for the processes, never the whole table."""
        running: deque[tuple[Chunk, Future[Embedded]]] = deque()
        for chunk in chunks:
            running.append((chunk, self._submit(chunk)))
            if len(running) > self._ahead:
                first, future = running.popleft()
                yield first, future.result()
        for first, future in running:
            yield first, future.result()


@contextmanager
def supervised(make: Callable[..., Work], arguments: Sequence[Any], workers: int, limits: Limits) -> Iterator[Pool]:
    """A pool of watched processes, which end with the body.

    Args:
        make: see :class:`Worker`.
        arguments: see :class:`Worker`.
        workers: how many processes.
        limits: of one molecule.

    Raises:
        TeacherError: a process died while it loaded the model; whatever loading raises comes through.
    """
    every = [Worker(make, arguments, limits, workers) for _ in range(workers)]
    idle = deque(every)

    def embed(chunk: Chunk) -> Embedded:
        worker = idle.popleft()  # there is one for each thread
        try:
            return worker.embed(chunk)
        finally:
            idle.append(worker)

    threads = ThreadPoolExecutor(workers)
    try:
        for worker in every:
            worker.start()
        for worker in every:
            worker.wait()
        yield Pool(every[0].said, lambda chunk: threads.submit(embed, chunk), workers)
    finally:
        for worker in every:
            worker.close()
        threads.shutdown(cancel_futures=True)
        for worker in every:  # one may just have been replaced
            worker.close()


def take(chunk: Chunk, positions: Sequence[int]) -> Chunk:
    """Some rows of a chunk; what is wrong with a line stays with its row."""
    ids = None if chunk.ids is None else [chunk.ids[i] for i in positions]
    problems = {k: chunk.problems[i] for k, i in enumerate(positions) if i in chunk.problems}
    start = chunk.start + (positions[0] if len(positions) else 0)
    return replace(chunk, start=start, values=[chunk.values[i] for i in positions], ids=ids, problems=problems)


def _without(chunk: Chunk, refused: dict[int, _LostError]) -> Chunk:
    if not refused:
        return chunk
    values = [None if i in refused else value for i, value in enumerate(chunk.values)]
    return replace(chunk, values=values, problems={i: why for i, why in chunk.problems.items() if i not in refused})


def _good_row(chunk: Chunk, rows: Rows) -> Chunk | None:
    good = rows.good
    return take(chunk, good[:1]) if good else None

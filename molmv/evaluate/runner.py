"""Runs a protocol: every contender on every task, each pair once; what is there already is not computed again."""

from __future__ import annotations

import csv
import hashlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from molmv.atomic import replacing
from molmv.errors import InputError, MolmvError, OutputError
from molmv.evaluate.contenders import Contender
from molmv.evaluate.prepared import load_prepared_task
from molmv.evaluate.protocol import Evaluation, Score
from molmv.evaluate.protocols import PROTOCOLS
from molmv.evaluate.tasks import Task

Progress = Callable[[str, int, int], None]
HASH = "sha256"


@dataclass(frozen=True)
class Result:
    """All scores of one head on one contender's embeddings of one task."""

    model: str
    task: str
    head: str
    scores: tuple[Score, ...]


class _Job(NamedTuple):
    contender: Contender
    task: Task
    head: str
    path: Path

    def __str__(self) -> str:
        return f"{self.contender.name} on {self.task.name}, {self.head}"


def load_prepared(protocol: Evaluation, names: Sequence[str], censored: str = "refuse") -> Iterator[Task]:
    """The tasks of a protocol, one after the other.

    Raises:
        InputError, UnknownNameError: see :func:`molmv.evaluate.tasks.load_task`.
    """
    for name in names or protocol.tasks:
        yield load_prepared_task(name, protocol, censored)


def run(
    protocol: Evaluation,
    contenders: Sequence[Contender],
    tasks: Sequence[Task],
    heads: Sequence[str],
    folder: Path,
    jobs: int = 1,
    progress: Progress = lambda what, done, total: None,
    beside: Sequence[Contender] = (),
    finished: Callable[[list[Result]], object] = lambda results: None,
) -> list[Result]:
    """Every head on every contender's embeddings of every task, one contender after the other.

    Each job is kept in a file below ``folder`` as soon as it is done, under the digests of model and task, so that a
    run that was stopped goes on, and nothing of another version of either is taken over. A job that fails costs
    itself: the error is warned of, and the table has a gap.

    Args:
        protocol: one of :data:`molmv.evaluate.protocols.PROTOCOLS`.
        contenders: from :func:`molmv.evaluate.contenders.gather`.
        tasks: from :func:`load_prepared`.
        heads: some of the protocol's.
        folder: where jobs are kept.
        jobs: processes. Embeddings are computed in this one, before.
        progress: called with what is being done, jobs done and jobs in all.
        beside: contenders for which nothing is computed: only what is kept of them is in the results.
        finished: called with all results so far, after each contender.

    Raises:
        InputError: nothing could be evaluated.
    """
    every = [
        _Job(contender, task, head, _place(folder, protocol, contender, task, head))
        for contender in (*contenders, *beside)
        for task in tasks
        for head in heads
    ]
    wanted = every[: len(contenders) * len(tasks) * len(heads)]
    results: dict[Path, Result] = {}
    failures: list[str] = []

    def keep(job: _Job, outcome: Callable[[], Sequence[Score]]) -> None:
        try:
            scores = tuple(outcome())
        except OutputError:  # the next job could not be kept either
            raise
        except MolmvError as error:
            failures.append(f"{job}: {error}")
            warnings.warn(failures[-1], stacklevel=3)
        else:
            _write(job.path, scores)
            results[job.path] = Result(job.contender.name, job.task.name, job.head, scores)

    for job in every:
        if job.path.is_file():
            try:
                results[job.path] = Result(job.contender.name, job.task.name, job.head, tuple(read_scores(job.path)))
            except InputError as error:  # one job more
                warnings.warn(f"{error.message} It is passed over.", stacklevel=2)
    todo = [job for job in wanted if job.path not in results]
    total = len(results) + len(todo)
    with _pool(min(jobs, len(todo))) as submit:
        waiting: dict[Future[list[Score]], _Job] = {}
        for _, mine in groupby(todo, key=lambda job: job.contender.name):
            for job, X in _with_vectors(mine):
                progress(str(job), len(results) + len(failures), total)
                waiting[submit(_work, protocol.name, job.task, X, job.contender.discrete, job.head)] = job
                while len(waiting) > jobs - 1 and waiting:  # not all matrices in memory at once
                    future = next(as_completed(waiting))
                    keep(waiting.pop(future), future.result)
            finished([results[job.path] for job in every if job.path in results])
        for future in as_completed(waiting):
            keep(waiting[future], future.result)
    progress("", len(results) + len(failures), total)
    if not results:
        raise InputError(f"Nothing could be evaluated. {failures[0]}" if failures else "Nothing is finished yet.")
    return [results[job.path] for job in every if job.path in results]


def _with_vectors(jobs: Iterable[_Job]) -> Iterator[tuple[_Job, np.ndarray]]:
    """Each job with its features, which are read once for jobs in a row that share them."""
    before: tuple[Contender, Task] | None = None
    X = np.empty((0, 0), dtype=np.float32)
    for job in jobs:
        if before is None or before[0] is not job.contender or before[1] is not job.task:
            X, before = job.contender.vectors(job.task.canonical, inputs=job.task.inputs), (job.contender, job.task)
        yield job, X


@contextmanager
def _pool(jobs: int) -> Iterator[Callable[..., Future[list[Score]]]]:
    """A function that takes work: for other processes, or done at once where there is one job."""
    if jobs <= 1:
        yield _at_once
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_one_thread) as pool:
        yield pool.submit


def _at_once(function: Callable[..., list[Score]], *arguments: Any) -> Future[list[Score]]:
    future: Future[list[Score]] = Future()
    try:
        future.set_result(function(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _work(name: str, task: Task, X: np.ndarray, discrete: bool, head: str) -> list[Score]:
    return list(PROTOCOLS[name].run(task, X, discrete, (head,)))


def _place(folder: Path, protocol: Evaluation, contender: Contender, task: Task, head: str) -> Path:
    hashed = hashlib.sha256("\n".join(task.canonical).encode())
    hashed.update(np.ascontiguousarray(task.Y).tobytes())
    hashed.update(b"" if task.test is None else task.test.tobytes())
    model = f"{contender.name}-{contender.digest[:12]}"
    names = (f"{protocol.name}-v{protocol.version}", model, f"{task.name}-{head}-{hashed.hexdigest()[:12]}.csv")
    return folder.joinpath(*("".join(c if c.isalnum() or c in "-_." else "_" for c in name) for name in names))


def _write(path: Path, scores: Sequence[Score]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Score._fields)
    writer.writerows(scores)
    data = text.getvalue().encode()
    with replacing(path, parents=True) as temporary:
        temporary.write_bytes(data + f"{HASH},{hashlib.sha256(data).hexdigest()}\n".encode())


def read_scores(path: Path) -> list[Score]:
    """The scores of one finished job. The last line is the hash of those before; where it lacks, nothing is compared.

    Raises:
        InputError: the file was changed; names it.
    """
    kinds = (str, str, int, str, str, float, float, int, int)
    data = path.read_bytes()
    head, mark, recorded = data.rpartition(f"{HASH},".encode())
    if mark and recorded != f"{hashlib.sha256(head).hexdigest()}\n".encode():
        raise InputError(f"{path} was changed: its hash is not the recorded one.", "Delete it, and evaluate again.")
    try:
        rows = list(csv.reader((head if mark else data).decode().splitlines()))[1:]
        return [Score(*(kind(cell) for kind, cell in zip(kinds, row, strict=True))) for row in rows]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}.", "Delete it, and evaluate again.") from error

"""Several processes that train one student together (DDP): gloo on CPUs, NCCL on GPUs, one a process.

Either this process starts the others on its machine (``train.processes``), or ``torchrun`` has started all of them, on
one machine or many. Every process reads the stores itself; batches and sums are shared out so that the training is that
of one process (:mod:`molmv.distill.data`, :mod:`molmv.distill.module`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed

from molmv.documents import parse_json
from molmv.errors import ProcessError

# How long a process waits for the others: one of them may still read a large corpus.
TIMEOUT = timedelta(minutes=30)
#: What Python runs in the other processes.
COMMAND = ("-c", "from molmv.distill.processes import work; work()")
_GRACE = 60.0  # seconds that the others have to end after the first one has


@dataclass(frozen=True)
class Member:
    """This process among those that train together.

    Attributes:
        number: from 0; that one writes.
        count: of all processes.
        local: number among those of its machine, which chooses its GPU.
        here: processes on its machine.
    """

    number: int = 0
    count: int = 1
    local: int = 0
    here: int = 1

    def strategy(self) -> DDPStrategy:
        """What Lightning has to know of it."""
        return DDPStrategy(cluster_environment=_Environment(self), broadcast_buffers=False, timeout=TIMEOUT)


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes; the tensor itself where there is one."""
    if not several():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the tensor itself where there is one."""
    return mean_over_processes(values) * distributed.get_world_size() if several() else values


def several() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


@contextmanager
def together(count: int, device: str, job: Mapping[str, Any]) -> Iterator[Member]:
    """Be one of several processes while the body runs; alone if ``count`` is 1 and nobody has started others.

    Args:
        count: how many; the others are started here, and get the job.
        device: ``cpu`` or ``cuda``.
        job: for :func:`work`; JSON.

    Raises:
        ProcessError: one of the others died; says which and why.
    """
    if TorchElasticEnvironment.detect():
        found = TorchElasticEnvironment()
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        yield from _joined(Member(found.global_rank(), found.world_size(), found.local_rank(), here), device, "env://")
        return
    if count == 1:
        yield Member()
        return
    with tempfile.TemporaryDirectory() as folder, _started(count, device, job, Path(folder)) as others:
        _wait_until_ready(others, Path(folder))
        try:
            yield from _joined(Member(0, count, 0, count), device, _meeting(Path(folder)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if dead := _first_dead(others):
                raise _stopped(dead) from error
            raise
        _wait(others)


def work() -> None:
    """What the other processes run: the job comes on stdin, whose end says that the first process is no more."""
    job = parse_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from molmv.distill.run import train_along

    member = Member(job["number"], job["count"], job["number"], job["count"])
    Path(job["ready"]).touch()
    for _ in _joined(member, job["device"], job["meeting"]):
        train_along(job, member)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(3)


def _joined(member: Member, device: str, meeting: str) -> Iterator[Member]:
    if device == "cuda":
        torch.cuda.set_device(member.local)
    with _loopback(member):
        distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=meeting,
            rank=member.number,
            world_size=member.count,
            timeout=TIMEOUT,
        )
    try:
        yield member
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def _loopback(member: Member) -> Iterator[None]:
    """Processes of one machine talk over its loopback: gloo would look the machine's name up, which may fail."""
    name = "GLOO_SOCKET_IFNAME"
    if member.here < member.count or name in os.environ or not sys.platform.startswith("linux"):
        yield
        return
    os.environ[name] = "lo"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def _meeting(folder: Path) -> str:
    """Where they find each other: a file, so that no port is guessed or opened to a network."""
    return (folder / "meeting").resolve().as_uri()


class _Other:
    def __init__(self, number: int, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.number, self.process, self.log = number, process, log


@contextmanager
def _started(count: int, device: str, job: Mapping[str, Any], folder: Path) -> Iterator[Sequence[_Other]]:
    others: list[_Other] = []
    try:
        for number in range(1, count):
            log = (folder / f"log-{number}").open("w+", encoding="utf-8", errors="replace")
            process = subprocess.Popen(
                [sys.executable, *COMMAND],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C is for the first process, which then ends these
            )
            others.append(_Other(number, process, log))
            assert process.stdin is not None  # noqa: S101 (for the type checker)
            about = {**job, "number": number, "count": count, "device": device, "meeting": _meeting(folder)}
            about["ready"] = str(folder / f"ready-{number}")
            process.stdin.write(json.dumps(about) + "\n")
            process.stdin.flush()
        yield others
    finally:
        for other in others:
            other.process.kill()
            other.process.wait()
            if other.process.stdin:
                other.process.stdin.close()
            other.log.close()


def _wait_until_ready(others: Sequence[_Other], folder: Path) -> None:
    """Until all are about to meet: who waits for them in torch's own meeting would not notice that one is dead."""
    while not all((folder / f"ready-{other.number}").exists() for other in others):
        for other in others:
            if other.process.poll() is not None:
                raise _stopped(other)
        time.sleep(0.05)


def _stopped(dead: _Other) -> ProcessError:
    return ProcessError(
        f"{_told(dead)} The training of all stopped.",
        "Its checkpoints are good: go on with --resume, on as many processes as you like.",
    )


def _first_dead(others: Sequence[_Other]) -> _Other | None:
    """The first of them that died; a broken connection is noticed a little before its process is gone."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for other in others:
            if other.process.poll():
                return other
        time.sleep(0.1)
    return None


def _wait(others: Sequence[_Other]) -> None:
    until = time.monotonic() + _GRACE
    for other in others:
        try:
            code = other.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue  # it has nothing more to do, and is ended
        if code:
            raise ProcessError(_told(other), "The training is complete: run it again with --resume.")


def _told(other: _Other) -> str:
    other.log.flush()
    other.log.seek(0)
    lines = [line for line in other.log.read().splitlines() if line.strip()]
    code = other.process.returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"Process {other.number} {how}" + (f" ({lines[-1].strip()[:300]})." if lines and code > 0 else ".")


class _Environment(ClusterEnvironment):
    """Tells Lightning what it would otherwise guess; the processes are there, and have met."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self._member = member

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._member.count

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._member.number

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._member.local

    def node_rank(self) -> int:
        return self._member.number // self._member.here

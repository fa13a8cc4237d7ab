"""SIGKILL at random moments: what is left is whole as far as it goes, and the resumed run ends with the same bytes."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_distillation import make_world

from molmv.errors import InputError
from molmv.verifying import verify

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
HERE = Path(__file__).parent
CHAIN = 5  # kills of one run before it may end
ROWS = 120


def wall(process: int) -> float:
    """Seconds by the clock."""
    return time.monotonic()


def work(process: int) -> float:
    """Seconds of the processor that a process has used: moments of its work, however busy the machine is."""
    with suppress(psutil.Error):  # it has just ended
        spent = psutil.Process(process).cpu_times()
        return spent.user + spent.system
    return 0.0


class Warm:
    """The process of :mod:`warm`.

    Args:
        modules: that it imports.
        clock: what times a job: :func:`wall`, or :func:`work` where it neither sleeps nor waits.
    """

    def __init__(self, *modules: str, clock: Callable[[int], float] = wall) -> None:
        self.clock = clock
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE), environment["PYTHONPATH"]])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "warm.py"), *modules], env=environment, text=True, **pipes
        )

    def run(self, job: str, arguments: dict[str, Any], seconds: float | None = None) -> tuple[int, float]:
        """Exit code and seconds of a job; killed after some seconds, if they are given and it still runs."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([job, arguments]), file=self.process.stdin, flush=True)
        child, spent = int(self.process.stdout.readline()), 0.0
        start = self.clock(child)
        while not select.select([self.process.stdout], [], [], 0.005)[0]:
            spent = max(spent, self.clock(child) - start)
            if seconds is not None and spent >= seconds:
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(child, signal.SIGKILL)
                break
        return int(self.process.stdout.readline()), spent


@contextmanager
def warmed(*modules: str, clock: Callable[[int], float] = wall) -> Iterator[Warm]:
    found = Warm(*modules, clock=clock)
    yield found
    assert found.process.stdin
    found.process.stdin.close()
    found.process.wait()


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """For embedding."""
    with warmed("molmv.featurizing", "molmv.embed_corpus", "rdkit.Chem") as found:
        yield found


def table(path: Path) -> Path:
    smiles = ["bad" if i % 17 == 3 else "C" * (i % 30 + 1) for i in range(ROWS)]
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


def contents(out: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """What must be the same; logs hold times."""
    if out.is_file():
        return {"": out.read_bytes()}
    found = [path for pattern in patterns for path in out.glob(pattern) if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def check_what_is_left(out: Path) -> None:
    """An output that is there is whole, and so is every checkpoint."""
    for path in (out, out.with_name(f"{out.name}.parts")):
        if path.exists() and any(path.iterdir() if path.is_dir() else [path]):
            try:
                found = verify(path)
            except InputError:  # nothing of ours yet
                continue
            assert [f.problem for f in found if f.problem and "unfinished" not in f.problem] == []


def remove(out: Path) -> None:
    shutil.rmtree(out) if out.is_dir() else out.unlink()


def endure(
    warm: Warm,
    job: str,
    arguments: dict[str, Any],
    folder: Path,
    patterns: Sequence[str],
    kills: int,
    suffix: str = "",
    before: Callable[[], None] = lambda: None,
) -> int:
    """Kill a job so many times, and compare each run that was let end with one that nothing disturbed."""
    before()
    out = folder / f"out{suffix}"  # always the same: a student remembers where it was made
    code, seconds = warm.run(job, {**arguments, "out": str(out)})
    assert code == 0
    expected = contents(out, patterns)
    assert expected
    remove(out)
    draw = random.Random(job)
    done = 0
    while done < kills:
        before()
        for i in range(CHAIN):
            code, spent = warm.run(job, {**arguments, "out": str(out)}, draw.random() * seconds)
            assert code in (0, -signal.SIGKILL)
            if i == code == 0:  # it began with nothing and was quicker than the run before
                seconds = spent
            done += code != 0
            check_what_is_left(out)
        assert warm.run(job, {**arguments, "out": str(out)})[0] == 0
        assert contents(out, patterns) == expected
        remove(out)
        sys.stderr.write(f"{job}: {done} kills survived\n")
    return done


def kills(few: int, many: int) -> list[Any]:
    return [few, pytest.param(many, marks=pytest.mark.slow)]


Record = Callable[[str, object], None]


@pytest.mark.parametrize("number", kills(5, 40))
def test_featurize(number: int, warm: Warm, tmp_path: Path, poison_card: Callable[..., str], record_property: Record):
    arguments = {"card": poison_card(seconds=0.02), "table": str(table(tmp_path / "in.csv")), "watched": False}
    done = endure(warm, "featurize", arguments, tmp_path, [], number, ".parquet")
    record_property("faults", ["SIGKILL of featurize", done, done, 0])


@pytest.mark.slow
def test_featurize_watched(warm: Warm, tmp_path: Path, poison_card: Callable[..., str], record_property: Record):
    arguments = {"card": poison_card(seconds=0.02), "table": str(table(tmp_path / "in.csv")), "watched": True}
    done = endure(warm, "featurize", arguments, tmp_path, [], 20, ".npz")
    record_property("faults", ["SIGKILL of featurize, watched", done, done, 0])


@pytest.mark.parametrize("number", kills(5, 50))
def test_teachers_embed(
    number: int, warm: Warm, tmp_path: Path, poison_card: Callable[..., str], record_property: Record
):
    arguments = {"card": poison_card(seconds=0.01), "table": str(table(tmp_path / "in.csv")), "watched": False}
    done = endure(warm, "teachers_embed", arguments, tmp_path, ["*.arrow", "*.json"], number)
    record_property("faults", ["SIGKILL of teachers embed", done, done, 0])


@pytest.mark.slow
def test_distill(tmp_path: Path, record_property: Record):
    pytest.importorskip("lightning")
    world = make_world(tmp_path / "world")
    arguments = {"corpus": str(world.corpus), "stores": str(world.stores)}
    patterns = ["student/*", "heads.*", "summary.json", "information.json"]
    with warmed("tiny_distillation", "molmv.distill", clock=work) as warm:
        done = endure(warm, "distillation", arguments, tmp_path, patterns, 40)
    record_property("faults", ["SIGKILL of distill", done, done, 0])


@pytest.mark.slow
def test_evaluate(tmp_path: Path, record_property: Record):
    pytest.importorskip("sklearn")
    pytest.importorskip("skfp")
    rows = [
        f"{'C' * (i % 12 + 1)}{'O' * (i % 3)}{ring},{i % 12 + i % 3}"
        for i in range(40)
        for ring in ("c1ccccc1", "C1CC1")
    ]
    (tmp_path / "assay.csv").write_text("smiles,size\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    home = tmp_path / "home"
    arguments = {"assay": str(tmp_path / "assay.csv"), "home": str(home)}
    forget = lambda: shutil.rmtree(home, ignore_errors=True)  # noqa: E731
    with warmed("molmv.evaluate.evaluation", "molmv.models", "skfp.fingerprints", clock=work) as warm:
        done = endure(warm, "evaluation", arguments, tmp_path, ["scores/**/*.csv", "strict.csv"], 40, "", forget)
    record_property("faults", ["SIGKILL of evaluate", done, done, 0])

"""Does ``molmv featurize`` stay linear in time and flat in memory over millions of rows? And what does Ray cost?

    python benchmarks/scale.py stream --model molmv-small --rows 125000 250000 500000 1000000
    python benchmarks/scale.py stream --model trivial --rows 1250000 2500000 5000000 10000000
    python benchmarks/scale.py engines --rows 50000
    python benchmarks/scale.py running-cluster --model trivial --rows 200000 2000000
    python benchmarks/scale.py watching --rows 50000

``stream`` writes files of generated rows, embeds each in a process of its own, and looks at the whole tree of processes
once a second: resident memory, open files, processes; and at the end at the processor time that the tree took, which
other work on the machine does not change much. The exponent is the slope of log(seconds) over log(rows), after the
seconds of a run of one row. ``trivial`` is a model of text that counts letters. ``engines`` embeds one file on the
local engine and on Ray, the start of a cluster included; ``running-cluster`` leaves that out, and with
``--hide rfc3987_syntax`` what each process of Ray does at its start where Jupyter is installed beside it;
``watching`` with and without a watched process.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil

CORES = ("c1ccc({})c({})c1{}", "c1cnc({})c({})c1{}", "C1CN({})CC({})C1{}", "c1c({})sc({})c1{}", "C1CC({})C({})OC1{}")
CARD = """
name = "trivial"
modality = "text"
adapter = "trivial"
dim = 4
likelihood = "gaussian"
encoding = "float32"
[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""
MODULE = """
import numpy as np

class Trivial:
    dim = 4

    def __init__(self, card, *, device="cpu"): ...

    def embed_batch(self, inputs):
        return np.array([[len(t), t.count("C"), t.count("c"), t.count("N")] for t in inputs], np.float32)
"""


HEADS = ("C", "O", "N", "CC", "OC", "C(=O)N", "S(=O)(=O)N", "CO", "C#C", "CCO")
TAILS = ("", "C", "CC", "C(C)C", "c1ccccc1", "C1CC1", "C(F)(F)F", "CC#N", "CCO", "CCCl", "c1ccncc1", "C1CCOC1")


def molecules(rows: int) -> Iterator[str]:
    """Out of 8.6 million, by chance."""
    groups = [head + tail for head, tail in itertools.product(HEADS, TAILS)]
    draw = random.Random(0)
    for _ in range(rows):
        yield draw.choice(CORES).format(*draw.choices(groups, k=3))


def write(path: Path, rows: int, header: str) -> None:
    with path.open("w") as file:
        file.write(f"id,{header}\n")
        file.writelines(f"M{i},{text}\n" for i, text in enumerate(molecules(rows)))


def install(folder: Path, hidden: Sequence[str] = ()) -> dict[str, str]:
    """The trivial model, as pip would, and modules that are not to be found; returns the environment for both."""
    info = folder / "trivial-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trivial\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[molmv.adapters]\ntrivial = trivial:Trivial\n")
    (folder / "trivial.py").write_text(MODULE)
    (folder / "trivial.toml").write_text(CARD)
    for name in hidden:
        (folder / f"{name}.py").write_text("raise ImportError('hidden')\n")
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), root]), "OMP_NUM_THREADS": "1"}


class Watched:
    """A command, looked at once a second while it runs."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = psutil.Popen(command, env=environment)
        self.memory: list[float] = []
        self.files: list[int] = []
        self.processes: list[int] = []
        seconds: dict[int, float] = {}
        while process.poll() is None:
            memory = files = 0.0
            try:
                tree = [process, *process.children(recursive=True)]
            except psutil.Error:
                break
            for one in tree:
                try:
                    memory += one.memory_info().rss / 2**20
                    files += one.num_fds()
                    spent = one.cpu_times()
                    seconds[one.pid] = spent.user + spent.system
                except psutil.Error:
                    continue
            self.memory.append(memory)
            self.files.append(int(files))
            self.processes.append(len(tree))
            time.sleep(1)
        code = process.wait()
        self.wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)  # what Ray starts is nobody's child: only looked at
        self.cpu = max(sum(seconds.values()), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if code:
            sys.exit(f"{' '.join(command)} ended with {code}")


def molmv(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "molmv", *map(str, arguments)]


def stream(model: str, sizes: list[int], workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        environment = install(site)
        name = str(site / "trivial.toml") if model == "trivial" else model
        header = "text" if model == "trivial" else "smiles"

        def run(rows: int) -> Watched:
            table, out = Path(folder, "in.csv"), Path(folder, "out.parquet")
            write(table, rows, header)
            options = ("-m", name, "--workers", workers, "--overwrite", "-q")
            return Watched(molmv("featurize", table, "-o", out, *options), environment)

        idle = run(1).cpu
        print(f"{model}: one row, {idle:.1f} s of processor time", flush=True)
        print(
            f"{'rows':>12} {'wall s':>8} {'cpu s':>8} {'rows/cpu s':>10} {'peak MiB':>8}  at tenths; files; processes"
        )
        spent = []
        for rows in sizes:
            found = run(rows)
            spent.append(max(found.cpu - idle, 1e-3))
            tenths = [round(found.memory[len(found.memory) * k // 10]) for k in range(1, 10)]
            times = f"{rows:12,} {found.wall:8.1f} {found.cpu:8.1f} {rows / spent[-1]:10,.0f}"
            files = f"{statistics.median(found.files):.0f}, at most {max(found.files)}"
            print(f"{times} {max(found.memory):8,.0f}  {tenths}; {files}; {max(found.processes)}", flush=True)
        if len(sizes) > 1:
            slope = np.polyfit(np.log(sizes), np.log(spent), 1)[0]
            print(f"exponent {slope:.3f}", flush=True)


def compare(rows: int, model: str, variants: dict[str, list[str]], repeats: int, extension: str = "") -> None:
    """The same file, several ways, in turn; medians of processor and wall time."""
    with tempfile.TemporaryDirectory() as folder:
        environment = install(Path(folder, "site"))
        table = Path(folder, "in.csv")
        write(table, rows, "smiles")
        found: dict[str, list[Watched]] = {name: [] for name in variants}
        for i, (name, options) in itertools.product(range(repeats), variants.items()):
            out = Path(folder, f"{i}-{name.replace(' ', '-')}{extension}")
            command = molmv("featurize", table, "-o", out, "-m", model, "-q", *options)
            found[name].append(Watched(command, environment))
        first = next(iter(variants))
        for name, runs in found.items():
            wall, cpu = (statistics.median(getattr(run, kind) for run in runs) for kind in ("wall", "cpu"))
            base_wall, base_cpu = (
                statistics.median(getattr(run, kind) for run in found[first]) for kind in ("wall", "cpu")
            )
            print(
                f"{name:24} {rows:,} rows: wall {wall:.1f} s ({wall / base_wall - 1:+.1%}), "
                f"processor {cpu:.1f} s ({cpu / base_cpu - 1:+.1%})",
                flush=True,
            )


class Meter(threading.Thread):
    """Processor time of this process and of all below it, looked at five times a second.

    Nobody inherits the time of what Ray ends, so the last look at each counts: at most 0.2 s of each is missed.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.each: dict[tuple[int, float], float] = {}
        self.own = self.inherited = 0.0
        self.start()

    def run(self) -> None:
        while True:
            self.look()
            self.own = time.thread_time()  # what looking costs is not counted
            time.sleep(0.2)

    def look(self) -> None:
        seconds = 0.0
        for one in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with suppress(psutil.Error):
                spent = one.cpu_times()
                self.each[one.pid, one.create_time()] = spent.user + spent.system
                seconds += sum(spent[:4])  # its own and that of its children that have ended
        self.inherited = seconds

    def read(self) -> tuple[float, float]:
        """Sum over all processes that were seen; sum over those that live and what they inherited."""
        self.look()
        return sum(self.each.values()) - self.own, self.inherited - self.own


def on_running_cluster(sizes: list[int], model: str, workers: int, repeats: int, hidden: Sequence[str]) -> None:
    """Both engines in this process, in turn; a cluster each time, so that no idle one is counted with the local engine.

    The cluster is warm: it embeds a file of 1,000 rows before, for which Ray Data starts processes of its own.
    """
    from molmv.featurizing_blocks import Options, featurize_blocks
    from molmv.limits import Limits
    from molmv.scale import cluster, featurize_on_ray

    spent: dict[tuple[str, int], list[tuple[float, float]]] = {}
    meter = Meter()

    def timed(run: Callable[[], object]) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        wall, before = time.perf_counter(), meter.read()
        run()
        wall = time.perf_counter() - wall
        return wall, max(after - then for after, then in zip(meter.read(), before, strict=True))

    def say(what: str, seconds: tuple[float, float]) -> None:
        wall, cpu = seconds
        print(f"{what}: {wall:.1f} s, {cpu:.1f} s of the processor; load {os.getloadavg()[0]:.1f}", flush=True)

    def embed(engine: str, rows: int) -> tuple[float, float]:
        run = {"local": featurize_blocks, "ray": featurize_on_ray}[engine]
        table, out = Path(folder, f"in-{rows}.csv"), Path(folder, "out")
        found = timed(lambda: run(table, out, name, Options(workers=workers, limits=Limits())))
        shutil.rmtree(out)
        say(f"{engine:6} {rows:,} rows", found)
        return found

    def measure(engine: str) -> None:
        for rows in sizes:
            spent.setdefault((engine, rows), []).append(embed(engine, rows))

    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        os.environ.update(install(site, hidden))
        sys.path.insert(0, str(site))
        name = str(site / "trivial.toml") if model == "trivial" else model
        for rows in (1000, *sizes):
            write(Path(folder, f"in-{rows}.csv"), rows, "text" if model == "trivial" else "smiles")
        for _ in range(repeats):
            measure("local")
            with ExitStack() as stack:
                say("start of a cluster", timed(lambda stack=stack: stack.enter_context(cluster(None, workers))))
                embed("ray", 1000)
                measure("ray")
    # engine, wall or processor -> seconds of each size
    middle = {
        (engine, k): [statistics.median(one[k] for one in spent[engine, rows]) for rows in sizes]
        for engine in ("local", "ray")
        for k in (0, 1)
    }
    for i, rows in enumerate(sizes):
        wall, cpu = (middle["ray", k][i] / middle["local", k][i] - 1 for k in (0, 1))
        print(f"{rows:,} rows, {workers} workers: Ray over local: wall {wall:+.1%}, processor {cpu:+.1%}")
    if len(sizes) > 1:
        ray, local = (np.polyfit(sizes, middle[engine, 1], 1)[0] for engine in ("ray", "local"))
        print(f"for each row more: Ray over local: processor {ray / local - 1:+.1%}")


def estimate(rate: float, cores: int, size: float, bandwidth: float, molecules: float = 1e9) -> None:
    """Hours for 10⁹ molecules on N nodes: what computing or writing takes, whichever is longer, plus 30 s of start."""
    print(f"{molecules:.0e} molecules, {rate:,.0f} a core-second: {molecules / rate / 3600:,.0f} core-hours, "
          f"{molecules * size / 1e12:.2f} TB")  # fmt: skip
    for nodes in (1, 4, 16, 64, 256):
        computing, writing = molecules / rate / cores / nodes, molecules * size / bandwidth
        hours, held_up = (max(computing, writing) + 30) / 3600, "computing" if computing > writing else "writing"
        print(f"{nodes:4} nodes x {cores} cores: {hours:8.2f} h, held up by {held_up}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("stream", "engines", "running-cluster", "watching", "estimate"))
    parser.add_argument("--model", default="molmv-small")
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="of stream and running-cluster")
    parser.add_argument("--hide", nargs="*", default=[], help="modules that running-cluster does as if not installed")
    parser.add_argument("--rate", type=float, default=2000, help="molecules in a second of one core")
    parser.add_argument("--cores", type=int, default=32, help="of a node")
    parser.add_argument("--bytes", type=float, default=1736, help="of a row of output")
    parser.add_argument("--bandwidth", type=float, default=1e9, help="bytes a second that all nodes can write together")
    arguments = parser.parse_args()
    if arguments.what == "estimate":
        estimate(arguments.rate, arguments.cores, arguments.bytes, arguments.bandwidth)
    elif arguments.what == "stream":
        stream(arguments.model, arguments.rows, arguments.workers)
    elif arguments.what == "running-cluster":
        on_running_cluster(arguments.rows, arguments.model, arguments.workers, arguments.repeats, arguments.hide)
    elif arguments.what == "engines":
        variants = {
            f"{engine}, {workers} workers": ["--engine", engine, "--workers", str(workers), *more]
            for workers in (1, 2)
            for engine, more in (("local", ["--shard", "1/1"]), ("ray", []))
        }
        for workers in (1, 2):
            some = {name: options for name, options in variants.items() if f"{workers} workers" in name}
            compare(arguments.rows[0], arguments.model, some, arguments.repeats)
    else:
        variants = {"in this process": ["--timeout", "0"], "watched": []}
        for rows in arguments.rows:
            compare(rows, arguments.model, variants, arguments.repeats, ".parquet")


if __name__ == "__main__":
    main()

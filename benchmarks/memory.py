"""Peak memory of ``molmv featurize`` as the file grows: it must not.

    python benchmarks/memory.py corpus.smi --rows 50000 200000 1000000 --model molmv-small

Writes files of the first rows of the corpus (repeated when it is shorter), featurizes each in a process of its own and
prints the process's peak resident memory, and the memory at every tenth of the longest run.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def resident(pid: int) -> int:
    """Resident memory of a process in MiB; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) // 1024 for line in fields if line.startswith("VmRSS")), 0)


def watch(pid: int, samples: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.25):
        if now := resident(pid):
            samples.append(now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--model", default="molmv-small")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            file = Path(folder, f"{rows}.smi")
            lines = arguments.corpus.read_text().splitlines()
            file.write_text("\n".join(itertools.islice(itertools.cycle(lines), rows)) + "\n")
            del lines
            command = [sys.executable, "-m", "molmv", "featurize", str(file), "-o", str(Path(folder, "out.parquet"))]
            start = time.perf_counter()
            process = subprocess.Popen([*command, "--model", arguments.model, "--overwrite", "-q"])
            samples: list[int] = []
            stop = threading.Event()
            watcher = threading.Thread(target=watch, args=(process.pid, samples, stop))
            watcher.start()
            code = process.wait()
            stop.set()
            watcher.join()
            if code:
                sys.exit(f"molmv featurize ended with {code}")
            tenths = [samples[len(samples) * k // 10] for k in range(1, 10)]
            seconds = time.perf_counter() - start
            print(
                f"{rows:>10,} rows  {seconds:8.1f} s  peak {max(samples):6,} MiB  at each tenth: {tenths}", flush=True
            )


if __name__ == "__main__":
    main()

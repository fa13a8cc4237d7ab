"""Speed of a distillation step on a GPU: molecules a second, share of the loader, use of the arithmetic units.

    python configs/gpu_students.py embed PACKED --home WEIGHTS -o STORES --rows 60000
    PYTHONPATH=configs python benchmarks/gpu_speed.py STORES -o benchmarks/results

One process, eight teachers, bf16, batches cut on the GPU. Work is counted by torch's FLOP counter: matrix products,
forward and backward; the peak is the card's dense bf16.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import torch
from gpu_students import open_memory
from torch.utils.flop_counter import FlopCounterMode

from molmv.distill.config import config_of
from molmv.distill.data import Batches, split_rows
from molmv.distill.resident import settle
from molmv.distill.run import _build, usable_rows
from molmv.student import StudentKind

GNNS = ("pretrain-gnn-gcn-contextpred", "pretrain-gnn-graphsage-contextpred", "pretrain-gnn-gat-contextpred")
COMPUTED = ("rdkit-descriptors", "ecfp-count", "topological-torsion-count")
EIGHT = ("minimol", *GNNS, "rxnfp-bert-pretrained", *COMPUTED)
PEAK = 989e12  # dense bf16 of an H100 or H200, by its data sheet


def measure(stores: Path, layers: int, width: int, batch: int, steps: int, profile: bool) -> dict[str, Any]:
    config = config_of(
        {
            "name": "speed",
            "output": "/tmp/speed",
            "teachers": EIGHT,
            "data": {"corpus": "", "stores": ""},
            "student": {"kind": "gine", "layers": layers, "width": width, "embedding": 512},
            "loss": {"depth": 2},
            "train": {"steps": 1000, "batch_size": batch},
        },
        "speed",
    )
    device = torch.device("cuda")
    inputs, kept = open_memory(stores, EIGHT, layers)
    network = StudentKind.of(config.student).make()
    split = split_rows(usable_rows(inputs.usable, kept, config), 0.02, 0)  # type: ignore[arg-type]
    module = _build(config, network, kept, split.train).to(device)  # type: ignore[arg-type]
    optimiser = module.configure_optimizers()["optimizer"]
    source = iter(Batches(*settle(inputs, kept, device), split.train, batch, 0))  # type: ignore[arg-type]

    def loss(one: Any) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            return module.loss(module.student(one.inputs), module.targets(one), one.present).total

    def step() -> None:
        optimiser.zero_grad()
        loss(next(source)).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()

    def timed(what: Any) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            what()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps

    for _ in range(8):
        step()
    torch.cuda.reset_peak_memory_stats()
    whole, loading = timed(step), timed(lambda: next(source))
    start = time.perf_counter()  # how long the processor needs to ask for a step
    for _ in range(steps):
        step()
    asked = (time.perf_counter() - start) / steps
    torch.cuda.synchronize()
    one = next(source)
    with FlopCounterMode(display=False) as counter:
        loss(one).backward()
    if profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
            for _ in range(5):
                step()
            torch.cuda.synchronize()
        print(found.key_averages().table(sort_by="cuda_time_total", row_limit=22, max_name_column_width=70))
    return {
        "device": torch.cuda.get_device_name(),
        "student": f"{layers} x {width}",
        "batch": batch,
        "molecules_per_second": round(batch / whole),
        "ms_per_step": round(1e3 * whole, 2),
        "ms_loading": round(1e3 * loading, 2),
        "ms_asking": round(1e3 * asked, 2),
        "gflop_per_step": round(counter.get_total_flops() / 1e9),
        "use_of_peak": round(counter.get_total_flops() / whole / PEAK, 4),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    rows = []
    for layers, width, batch in [(5, 256, 1024), (5, 256, 2048), (5, 256, 4096), (10, 512, 2048), (5, 384, 2048)]:
        rows.append(
            measure(arguments.stores, layers, width, batch, arguments.steps, arguments.profile and batch == 4096)
        )
        print(rows[-1], flush=True)
    with (arguments.out / "gpu-speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

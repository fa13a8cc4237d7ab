"""What the loss and its heads cost: forward and backward of eight teachers, one thread.

    python benchmarks/loss_speed.py

All rows are timed in turn in one run and in seconds of CPU, so that a busy machine slows all of them alike.
``bfloat16`` is molmv's loss under autocast, as ``molmv distill`` runs it where the processor multiplies in it.
``plain loop`` is the same mathematics written naively, one ``nn.Sequential`` a teacher. ``matrix products only`` is
what the linear layers alone cost: no arrangement of the rest can be faster. ``trunks, stacked`` evaluates the eight
trunks by batched products, to see whether grouping equal heads pays. Last, the share of the loss in a step of the
paper's student of 10 layers of 512.
"""

from __future__ import annotations

import csv
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, softplus

from molmv import molecules
from molmv.graphs import featurise
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.student.gine import GineConfig, GineEncoder, graph_tensors

DIMS = (300, 300, 300, 512, 256, 768, 2048, 384)
BATCH, EMBEDDING, HIDDEN, NOISE = 256, 512, 512, 0.5
ROUNDS = 15


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    z = torch.randn(BATCH, EMBEDDING, requires_grad=True)
    targets = [torch.randn(BATCH, dim) for dim in DIMS]
    rows = {
        "molmv": molmv_step(z, targets),
        "molmv, bfloat16": molmv_step(z, targets, half=True),
        "plain loop": plain_step(z, targets),
        "matrix products only": product_step(z),
        "trunks, one by one": trunk_step(z, stacked=False),
        "trunks, stacked": trunk_step(z, stacked=True),
    }
    seconds = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, step in rows.items():
            z.grad = None
            start = time.process_time()
            step()
            seconds[name].append(time.process_time() - start)
    median = {name: statistics.median(times[2:]) for name, times in seconds.items()}
    for name, value in median.items():
        print(f"{name:22} {1e3 * value:7.1f} ms")
    print(f"plain loop / molmv           {median['plain loop'] / median['molmv']:.2f}")
    print(f"plain loop / molmv, bfloat16 {median['plain loop'] / median['molmv, bfloat16']:.2f}")
    print(f"matrix products / molmv      {median['matrix products only'] / median['molmv']:.2f}")
    for half in (False, True):
        step = student_step(half=half)
        step()
        taken = min(_seconds(step) for _ in range(3))
        own = median["molmv, bfloat16" if half else "molmv"]
        kind = "bfloat16" if half else "float32"
        print(f"10 x 512 student, {kind:9} {1e3 * taken:7.0f} ms; loss / both {own / (own + taken):.3f}")
    print(f"one by one / stacked trunks  {median['trunks, one by one'] / median['trunks, stacked']:.2f}")


def _seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def student_step(*, half: bool) -> Callable[[], None]:
    """The paper's student, 10 layers of 512, on a batch of molecules: forward and backward."""
    with (Path(__file__).parent.parent / "examples" / "library.csv").open(newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    graphs = featurise(molecules.screen(smiles))
    rows = np.flatnonzero(graphs.sizes > 0)[:BATCH]
    graph = graph_tensors(graphs.batch(rows))
    student = GineEncoder(GineConfig(layers=10, width=512, expansion=2, embedding=EMBEDDING, pooling=("mean",)))

    def step() -> None:
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            z = student(graph)
        z.float().sum().backward()

    return step


def molmv_step(z: Tensor, targets: list[Tensor], *, half: bool = False) -> Callable[[], None]:
    named = {str(i): target for i, target in enumerate(targets)}
    specs = {name: TeacherSpec(target.shape[1]) for name, target in named.items()}
    loss = MajorityVoteLoss(specs, EMBEDDING, noise=NOISE, hidden=HIDDEN)

    def step() -> None:
        loss.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            total = loss(z, named).total
        total.backward()

    return step


def plain_step(z: Tensor, targets: list[Tensor]) -> Callable[[], None]:
    heads = nn.ModuleList(plain_head(2 * dim) for dim in DIMS)

    def step() -> None:
        heads.zero_grad()
        total = torch.zeros(())
        for head, target in zip(heads, targets, strict=True):
            mean, raw = head(z).chunk(2, dim=1)
            variance = NOISE**2 + (softplus(raw + math.log(math.e - 1)) + 0.01) ** 2
            squared = (target - mean) ** 2 + NOISE**2
            nll = 0.5 * math.log(2 * math.pi) + 0.5 * torch.log(variance) + squared / (2 * variance)
            total = total + nll.mean()
        total.backward()

    return step


def plain_head(outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (EMBEDDING, HIDDEN):
        layers += [nn.LayerNorm(width), nn.Linear(width, HIDDEN), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, outputs))


def product_step(z: Tensor) -> Callable[[], None]:
    heads = [
        nn.Sequential(nn.Linear(EMBEDDING, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2 * dim))
        for dim in DIMS
    ]
    slopes = [torch.randn(BATCH, 2 * dim) for dim in DIMS]

    def step() -> None:
        for head, slope in zip(heads, slopes, strict=True):
            head.zero_grad()
            head(z).backward(slope)

    return step


def trunk_step(z: Tensor, *, stacked: bool) -> Callable[[], None]:
    weights = [torch.randn(len(DIMS), HIDDEN, width).mul_(0.05).requires_grad_() for width in (EMBEDDING, HIDDEN)]

    def step() -> None:
        for weight in weights:
            weight.grad = None
        if stacked:
            features = z.expand(len(DIMS), BATCH, EMBEDDING)
            for weight in weights:
                features = torch.bmm(layer_norm(features, features.shape[-1:]), weight.mT).relu()
            features.sum().backward()
        else:
            for first, second in zip(*weights, strict=True):
                features = (layer_norm(z, z.shape[-1:]) @ first.T).relu()
                (layer_norm(features, features.shape[-1:]) @ second.T).relu().sum().backward()

    return step


if __name__ == "__main__":
    main()

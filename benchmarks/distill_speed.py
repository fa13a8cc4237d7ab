"""A step of distillation on one CPU thread: molmv beside the plain loop of :mod:`plain_distill`, with the same weights.

    python benchmarks/distill_speed.py ../shared/data/corpus/permissive.smi.gz [--molecules 20000] [--steps 12] [--bf16]

Eight teachers of the usual widths, with random values, in real stores. Both start from the same weights and see the
same rows in the same order; their losses must stay equal. Seconds are those of the processor, of a whole step: loading,
forward, backward, clipping, optimiser. Both take turns, so that a busy machine slows both. ``--bf16``: molmv under the
autocast that ``molmv distill`` trains with unless told otherwise; the plain loop stays in float32.
"""

import argparse
import gzip
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_distill import PlainHeads, PlainStudent, batches, data_set

from molmv.distill.data import Batches, StoredTargets, fit_standardiser
from molmv.embeddings import EmbeddingStore, Header, StoreWriter
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.rows import OK
from molmv.student.gine import make_encoder
from molmv.student.inputs import read_corpus

# width, encoding
TEACHERS = {
    "bits": (2048, "bits"), "counts": (2048, "uint8"), "descriptors": (217, "float32"), "minimol": (512, "float16"),
    "gcn": (300, "float16"), "sage": (300, "float16"), "bert": (256, "float16"), "maccs": (167, "bits"),
}  # fmt: skip
NOISE, SEED = 1.0, 0


def copy_rows(corpus: Path, rows: int, out: Path) -> None:
    """The first rows of a corpus; again from its beginning when it is shorter."""
    opener = gzip.open if corpus.suffix == ".gz" else open
    with opener(corpus, "rt") as source, out.open("w") as target:
        target.writelines(itertools.islice(itertools.cycle(source), rows))


def stores(folder: Path, rows: int, corpus: str = "0" * 64) -> dict[str, EmbeddingStore]:
    """Eight stores of random values, which repeat after 32,768 rows."""
    rng, found, piece = np.random.default_rng(0), {}, min(rows, 32_768)
    for name, (dim, encoding) in TEACHERS.items():
        header = Header(name, "0" * 64, dim, "gaussian", encoding, corpus, {})
        writer = StoreWriter(folder / name, header)
        if encoding.startswith("float"):
            values = rng.normal(size=(piece, dim)).astype(np.float32)
        else:
            shape = (piece, dim)
            values = (rng.random(shape) < 0.05 if encoding == "bits" else rng.poisson(0.1, shape)).astype(np.float32)
        for start in range(0, rows, piece):
            n = min(piece, rows - start)
            writer.append(values[:n], np.arange(start, start + n, dtype=np.uint64), [OK] * n, [""] * n)
        writer.finish()
        found[name] = EmbeddingStore(folder / name)
    return found


def stepper(parameters: list[torch.nn.Parameter], loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def step() -> float:
        optimiser.zero_grad()
        total = loss()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        return float(total.detach())

    return step


def compare(sizes: dict[str, int], inputs: Any, kept: dict[str, EmbeddingStore], args: argparse.Namespace) -> None:
    batch, steps = args.batch, args.steps
    torch.manual_seed(SEED)
    rows = np.flatnonzero(inputs.usable)
    scalers = {name: fit_standardiser(store, rows, "scale") for name, store in kept.items()}
    student = make_encoder(sizes)
    specs = {name: TeacherSpec(scaler.out_dim) for name, scaler in scalers.items()}
    heads = MajorityVoteLoss(specs, sizes["embedding"], objective="gaussian", noise=NOISE, hidden=512, depth=2)
    plain, plain_heads = PlainStudent(student), PlainHeads(heads, NOISE)

    source = iter(stream := Batches(inputs, StoredTargets(kept), rows, batch, SEED))

    def ours() -> torch.Tensor:
        one = next(source)
        targets = {name: scalers[name].transform(values) for name, values in one.targets.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            return heads(student(one.inputs), targets, one.present).total

    targets = {name: scalers[name].transform(torch.from_numpy(store.take(rows))) for name, store in kept.items()}
    present = {name: torch.from_numpy(store.valid[rows]) for name, store in kept.items()}
    listed = data_set(inputs.graphs, rows, targets, present)
    place = {int(row): i for i, row in enumerate(rows)}

    def orders() -> Iterator[list[int]]:
        step = 0
        while True:
            yield [place[int(row)] for row in Batches.rows_of_step(stream_again, step)]
            step += 1

    stream_again = Batches(inputs, StoredTargets(kept), rows, batch, SEED)
    loader = batches(listed, orders(), batch)

    def theirs() -> torch.Tensor:
        one = next(loader)
        return plain_heads(plain(one), one.y, one.present)

    del stream
    runs = {"molmv": stepper([*student.parameters(), *heads.parameters()], ours),
            "plain": stepper([*plain.parameters(), *plain_heads.parameters()], theirs)}  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    losses: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(steps):
        for name, step in runs.items():
            start = time.process_time()
            losses[name].append(step())
            seconds[name].append(time.process_time() - start)
    took = {name: statistics.median(times[2:]) for name, times in seconds.items()}
    apart = max(abs(a - b) / abs(b) for a, b in zip(losses["molmv"], losses["plain"], strict=True))
    a, b = took["molmv"], took["plain"]
    print(
        f"{sizes['layers']} x {sizes['width']}, batch {batch}: molmv {a:.2f} s, plain {b:.2f} s a step: {b / a:.2f} x"
    )
    print(f"   loss {losses['molmv'][0]:.4f} to {losses['molmv'][-1]:.4f}, at most {apart:.1e} apart")
    said = {name: torch.randn(batch, spec.dim) for name, spec in specs.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        part = timed(lambda: heads(torch.randn(batch, sizes["embedding"], requires_grad=True), said).total.backward())
    print(f"   of which heads and their gradients {part:.2f} s: {part / took['molmv']:.0%} of molmv's step")


def timed(run: Callable[[], None]) -> float:
    times = []
    for _ in range(4):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--molecules", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--bf16", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.smi"
        copy_rows(given.corpus, given.molecules, corpus)
        kept = stores(Path(folder), given.molecules)
        for layers, width in ((5, 256), (10, 512)):
            sizes = {"layers": layers, "width": width, "embedding": 512}
            compare(sizes, read_corpus(corpus, sizes), kept, given)


if __name__ == "__main__":
    main()

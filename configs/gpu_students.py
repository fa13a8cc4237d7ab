"""The released students on one GPU: teachers' vectors into memory once, then one process a student.

    python configs/gpu_students.py embed PACKED --home WEIGHTS -o /dev/shm/stores --seconds 120
    python configs/gpu_students.py train configs/molmv-base.toml /dev/shm/stores -o OUT

``gpu_stores.py pack`` makes PACKED beforehand; WEIGHTS is the folder of weights that ``molmv`` keeps. What is trained,
and how, stands in the config: its loss, seed and steps are those of ``molmv distill`` on stores of the same vectors.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from gpu_stores import TEACHERS, MemoryStore, fill, read_headers, unpack

from molmv.distill.config import DistillConfig, read_config
from molmv.distill.run import train_on
from molmv.embeddings import Header
from molmv.graphs import Graphs
from molmv.student import StudentKind
from molmv.student.inputs import MoleculeInputs

GRAPHS = ("atoms", "atom_offsets", "bonds", "bond_codes", "bond_offsets")


def embed(packed: Path, home: Path, out: Path, seconds: float, rows: int, cores: int) -> None:
    """Vectors and graphs of the first molecules, as arrays that processes can share."""
    start = time.monotonic()
    lines, slow = unpack(packed)
    lines = lines[:rows] if rows else lines
    print(f"unpacked in {time.monotonic() - start:.0f} s", flush=True)
    vocabulary = next(home.glob("weights/*/rxnfp/models/transformers/bert_pretrained/vocab.txt"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stores, graphs = fill(lines, read_headers(packed / "headers.json", ""), vocabulary, device, seconds, cores)
    done = len(graphs)
    data = ("\n".join(lines[:done]) + "\n").encode()
    corpus = hashlib.sha256(data).hexdigest()
    for name, (known, vectors) in slow.items():
        inside = known < done
        stores[name].values[known[inside]] = vectors[inside]
        stores[name].valid[known[inside]] = True
    out.mkdir(parents=True, exist_ok=True)
    for name, store in stores.items():
        np.save(out / f"{name}.npy", store.values)
        np.save(out / f"{name}.valid.npy", store.valid)
    for name in GRAPHS:
        np.save(out / f"graphs.{name}.npy", getattr(graphs, name))
    headers = {name: {**store.header.__dict__, "corpus": corpus} for name, store in stores.items()}
    (out / "headers.json").write_text(json.dumps(headers, default=dict))
    counts = {name: int(store.valid.sum()) for name, store in stores.items()}
    (out / "corpus.json").write_text(json.dumps({"sha256": corpus, "rows": done, "teachers": counts}))
    print(
        f"{done:,} molecules, sha256 {corpus}, rows of teachers {counts}, {time.monotonic() - start:.0f} s", flush=True
    )


def open_memory(folder: Path, teachers: tuple[str, ...], layers: int) -> tuple[MoleculeInputs, dict[str, MemoryStore]]:
    """What :func:`embed` wrote, memory-mapped."""
    headers = {name: Header(**said) for name, said in json.loads((folder / "headers.json").read_text()).items()}
    stores = {
        name: MemoryStore(
            folder / name,
            headers[name],
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / f"{name}.valid.npy", allow_pickle=False),
        )
        for name in teachers
    }
    graphs = Graphs(**{name: np.load(folder / f"graphs.{name}.npy", allow_pickle=False) for name in GRAPHS})
    return MoleculeInputs(graphs, layers), stores


def train(config: DistillConfig, folder: Path, out: Path) -> None:
    """Train one student and copy what is released of it to ``out``."""
    start = time.monotonic()
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(config.seed)
    inputs, stores = open_memory(folder, config.teachers, config.student["layers"])
    student = StudentKind.of(config.student)
    network = student.make()
    config = dataclasses.replace(config, output=str(folder.parent / f"run-{config.name}-{os.getpid()}"))
    made = train_on(config, student, network, inputs, stores)  # type: ignore[arg-type]
    if made is None:
        raise RuntimeError("only the first of several processes has a student")
    target = out / config.name
    shutil.copytree(made, target, dirs_exist_ok=True)
    for log in sorted(made.parent.glob("log/*/metrics.csv")):
        shutil.copy(log, target / "metrics.csv")
    shutil.copy(made.parent / "summary.json", target / "summary.json")
    seconds = time.monotonic() - start
    print(f"{config.name}: {seconds:.0f} s, {(made.parent / 'summary.json').read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    embedding = verbs.add_parser("embed")
    embedding.add_argument("packed", type=Path)
    embedding.add_argument("--home", type=Path, required=True)
    embedding.add_argument("-o", "--out", type=Path, required=True)
    embedding.add_argument("--seconds", type=float, default=1e9)
    embedding.add_argument("--rows", type=int, default=0)
    embedding.add_argument("--cores", type=int, default=os.cpu_count())
    training = verbs.add_parser("train")
    training.add_argument("config", type=Path)
    training.add_argument("stores", type=Path)
    training.add_argument("-o", "--out", type=Path, required=True)
    for name, kind in (("steps", int), ("minutes", float), ("batch_size", int)):
        training.add_argument(f"--{name}", type=kind, help="instead of the config's")
    arguments = parser.parse_args()
    if arguments.verb == "embed":
        a = arguments
        embed(a.packed, a.home, a.out, a.seconds, a.rows, a.cores)
        return
    config = read_config(arguments.config)
    if unknown := set(config.teachers) - set(TEACHERS):
        parser.error(f"no store of {', '.join(sorted(unknown))}")
    changed = {name: getattr(arguments, name) for name in ("steps", "minutes", "batch_size")}
    changed = {name: value for name, value in changed.items() if value is not None}
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **changed))
    train(config, arguments.stores, arguments.out)


if __name__ == "__main__":
    main()

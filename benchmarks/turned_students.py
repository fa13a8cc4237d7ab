"""In which space is a released student best? No label is read to turn it; what labels say is split in two to judge.

    python benchmarks/turned_students.py molmv-small build/drawn.smi --protocol paper [--tasks Caco2_Wang hERG …]

A loss asks what an embedding says of its teachers, not how long each of its directions is (molmv/student/turning.py).
Every tenth of the first lines of a corpus is embedded by the student and by some of its teachers, linear heads are
fitted to that, and the student is judged as it is, turned at random, and turned to the space of these teachers: of
four, five or eleven, of five onto fewer directions, of five with another spectrum (power p: a direction of variance
v gets v^p), and within a ball (z / sqrt(1 + |z|² / r²) about the mean, r in lengths of the median molecule). A line
gives the mean of the scores by which a space may be chosen (validation rows of ``paper``, cross-validation in the
training part of the others), and of those on test rows. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from molmv.evaluate.contenders import contender
from molmv.evaluate.prepared import load_prepared_task
from molmv.evaluate.protocols import PROTOCOLS
from molmv.student.turning import linear_head, main_directions, teacher_space

FOUR = ("minimol", "ecfp-count", "pretrain-gnn-gcn-contextpred", "maccs")
FIVE = (*FOUR, "rdkit-descriptors")
ELEVEN = (
    *FIVE, "ecfp", "atom-pair-count", "topological-torsion-count", "pretrain-gnn-gat-contextpred",
    "pretrain-gnn-graphsage-contextpred", "rxnfp-bert-pretrained",
)  # fmt: skip
TASKS = (
    "Caco2_Wang", "PPBR_AZ", "VDss_Lombardo", "Half_Life_Obach", "Clearance_Hepatocyte_AZ", "Clearance_Microsome_AZ",
    "HydrationFreeEnergy_FreeSolv", "Lipophilicity_AstraZeneca", "BBB_Martins", "HIA_Hou", "Bioavailability_Ma", "hERG",
    "DILI", "CYP2C9_Substrate_CarbonMangels", "Pgp_Broccatelli",
)  # fmt: skip
HEADS = {"paper": ("probe",), "strict": ("linear", "knn"), "embedding-benchmark": ("linear", "knn")}
BALLS = (2.0, 1.5, 1.0, 0.7, 0.5)
# Name: teachers, directions kept (0: all), power of the spectrum.
SPACES = {
    "turned at random": ((), 0, 1.0),
    "four teachers": (FOUR, 0, 1.0),
    "five teachers": (FIVE, 0, 1.0),
    "eleven teachers": (ELEVEN, 0, 1.0),
    "five, 256 directions": (FIVE, 256, 1.0),
    "five, 128 directions": (FIVE, 128, 1.0),
    "five, power 0.5": (FIVE, 0, 0.5),
    "five, power 0.75": (FIVE, 0, 0.75),
    "five, power 1.25": (FIVE, 0, 1.25),
    "five, power 1.5": (FIVE, 0, 1.5),
}


def turning(Z: np.ndarray, heads: dict, teachers: tuple[str, ...], kept: int, power: float) -> np.ndarray:
    """The linear part of the map to a space; the rest does not matter to heads that centre their features."""
    A = np.eye(Z.shape[1])
    if teachers:
        A = teacher_space([heads[t] for t in teachers], torch.from_numpy(Z))[0].numpy().astype(np.float64)
    if power != 1:
        spread, axes = np.linalg.eigh(np.cov((Z @ A.T).T))
        A = (axes * np.maximum(spread, 1e-9 * spread[-1]) ** (power / 2 - 0.5)).T @ A
    (B, _), _ = main_directions(Z @ A.T, kept or len(A), seed=1)
    return B.numpy() @ A


def mapped(X: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Every row by a matrix."""
    return X @ A.T


def within_ball(X: np.ndarray, sample: np.ndarray, radius: float) -> np.ndarray:
    """Embeddings shortened, long ones most. The sample says what is the middle and what a usual length."""
    centre = sample.mean(0)
    usual = np.median(np.linalg.norm(sample - centre, axis=1))
    X = X - centre
    return X / np.sqrt(1 + (X**2).sum(1, keepdims=True) / (radius * usual) ** 2)


def main() -> None:
    """One line a head, metric and space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--protocol", choices=list(HEADS), default="strict")
    parser.add_argument("--molecules", type=int, default=4000)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--spaces", nargs="*", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--balls", nargs="*", type=float, default=BALLS)
    args = parser.parse_args()
    student, protocol = contender(args.student), PROTOCOLS[args.protocol]
    with args.corpus.open() as file:
        smiles = [line.split()[0] for line, _ in zip(file, range(10 * args.molecules), strict=False)][::10]
    Z = student.vectors(smiles)
    wanted = dict.fromkeys(teacher for space in args.spaces for teacher in SPACES[space][0])
    heads = {name: linear_head(Z, contender(name).vectors(smiles)) for name in wanted}
    sample = Z[np.isfinite(Z).all(1)]
    matrices = {name: turning(sample, heads, *SPACES[name]) for name in args.spaces}
    maps = {name: partial(mapped, A=A) for name, A in matrices.items()}
    maps |= {f"ball of {r:g}": partial(within_ball, sample=sample, radius=r) for r in args.balls}
    maps["as it is"] = np.asarray
    found = defaultdict(list)
    for name in args.tasks:
        task = load_prepared_task(name, protocol)
        X = student.vectors(task.canonical, inputs=task.inputs)
        for space, change in maps.items():
            scores = list(protocol.run(task, change(X).astype(np.float32), False, HEADS[args.protocol]))
            for head in HEADS[args.protocol]:
                those = [s for s in scores if s.head == head and s.metric in ("AUROC", "R2")]
                pair = (np.mean([s.cv for s in those]), np.mean([s.value for s in those]))
                found[head, those[0].metric, space].append(pair)
    for (head, metric, space), pairs in sorted(found.items()):
        validated, tested = np.mean(pairs, axis=0)
        print(f"{head:8} {metric:6} {space:20} {len(pairs)} sets  validation {validated:.4f}  test {tested:.4f}")


if __name__ == "__main__":
    main()

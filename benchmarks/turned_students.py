"""Would a released student be better in the space of its teachers? Heads are fitted anew, by ridge regression.

    python benchmarks/turned_students.py molmv-small build/drawn.smi [--tasks Caco2_Wang hERG …]

A loss asks what an embedding says of its teachers, not how long each of its directions is (molmv/student/turning.py).
Every tenth of the first lines of a corpus is embedded by the student and by some of its teachers; linear heads are
fitted to that, no label is read, and the student is judged as it is and turned to the space of all of these teachers,
and of single ones, by the heads ``linear`` and ``knn`` of the protocol ``strict``. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molmv.evaluate.contenders import contender
from molmv.evaluate.prepared import load_prepared_task
from molmv.evaluate.protocols import PROTOCOLS
from molmv.student.turning import teacher_space

TEACHERS = ("minimol", "ecfp-count", "pretrain-gnn-gcn-contextpred", "maccs")
TASKS = (
    "Caco2_Wang", "BBB_Martins", "HIA_Hou", "Pgp_Broccatelli", "PPBR_AZ", "VDss_Lombardo", "Bioavailability_Ma",
    "hERG", "Lipophilicity_AstraZeneca", "Clearance_Hepatocyte_AZ",
)  # fmt: skip
PENALTY = 1e-3
# Rare bits should not weigh as much as common ones: the least deviation that a column is divided by.
LEAST = {"ecfp-count": 0.1}


def linear_head(Z: np.ndarray, Y: np.ndarray, least: float) -> tuple[Tensor, Tensor]:
    """M and b with which M z + b is nearest to the teacher's standardised vectors."""
    known = np.isfinite(Z).all(1) & np.isfinite(Y).all(1)
    z, y = torch.from_numpy(Z[known]).double(), torch.from_numpy(Y[known]).double()
    y = (y - y.mean(0)) / y.std(0).clamp_min(least)
    centre = z.mean(0)
    gram = (z - centre).T @ (z - centre) / len(z)
    penalty = PENALTY * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    M = torch.linalg.solve(gram + penalty, (z - centre).T @ y / len(z)).T
    return M.float(), (-M @ centre).float()


def main() -> None:
    """One line a head, metric, split and space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--molecules", type=int, default=4000)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    args = parser.parse_args()
    student, protocol = contender(args.student), PROTOCOLS["strict"]
    with args.corpus.open() as file:
        smiles = [line.split()[0] for line, _ in zip(file, range(10 * args.molecules), strict=False)][::10]
    Z = student.vectors(smiles)
    heads = {t: linear_head(Z, contender(t).vectors(smiles), LEAST.get(t, 0.01)) for t in TEACHERS}
    sample = torch.from_numpy(Z[np.isfinite(Z).all(1)])
    spaces = {"as it is": (torch.eye(Z.shape[1]), torch.zeros(Z.shape[1]))}
    spaces["all"] = teacher_space(list(heads.values()), sample)
    spaces |= {teacher: teacher_space([heads[teacher]], sample) for teacher in TEACHERS[:2]}
    found = defaultdict(list)
    for name in args.tasks:
        task = load_prepared_task(name, protocol)
        X = student.vectors(task.canonical, inputs=task.inputs)
        for space, (A, a) in spaces.items():
            turned = (X @ A.numpy().T + a.numpy()).astype(np.float32)
            scores = [s for s in protocol.run(task, turned, False, ("linear", "knn")) if s.metric in ("AUROC", "R2")]
            for key in dict.fromkeys((s.head, s.metric, s.split) for s in scores):
                found[*key, space].append(np.mean([s.value for s in scores if (s.head, s.metric, s.split) == key]))
    for (head, metric, split, space), values in sorted(found.items()):
        print(f"{head:8} {metric:6} {split:9} {space:14} {len(values)} sets  {np.mean(values):.4f}")


if __name__ == "__main__":
    main()

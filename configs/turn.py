"""A student's embedding under another linear map, folded into its last layer (molmv/student/turning.py).

    python configs/turn.py build/text/static build/text/corpus.txt --heads -o build/text/static-turned
    python configs/turn.py build/molmv-small build/corpus.smi --to minimol ecfp-count maccs -o build/molmv-small-turned
    python configs/turn.py build/molmv-base build/corpus.smi --width 512 -o build/molmv-base-512

``--heads``: into the space of what its linear heads say of the teachers, so that its distances are theirs. ``--to``: into
that of these teachers, standardised; heads are fitted to their vectors of the corpus' first inputs, so that whoever has
no heads, or heads with hidden layers, can be turned as well. ``--width``: onto the main directions of that, for fewer
numbers, turned at random, so that each number has its share of all of them. No label is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from molmv.embedder import Embedder
from molmv.modality import read_by
from molmv.models import load_student, load_teacher
from molmv.student.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from molmv.student.embed import Student
from molmv.student.turning import LinearHead, linear_head, main_directions, teacher_space, turned
from molmv.table import open_table


def vectors(embedder: Embedder, inputs: list[str]) -> np.ndarray:
    return embedder.embed(embedder.screen(inputs))


def turn(student: Student, Z: np.ndarray, heads: Mapping[str, LinearHead], width: int, name: str) -> Checkpoint:
    """The turned student.

    Args:
        student: as it is.
        Z: its embeddings of a sample of its corpus; rows with NaN are left out.
        heads: of the teachers to whose space it is turned; with none, it stays.
        width: numbers of the new embedding; 0 for as many as before.
        name: of the new student.
    """
    Z = Z[np.isfinite(Z).all(1)]
    A, a = torch.eye(Z.shape[1], dtype=torch.float64), torch.zeros(Z.shape[1], dtype=torch.float64)
    about: dict[str, object] = {}
    if heads:
        A, a = teacher_space(list(heads.values()), torch.from_numpy(Z))
        about["turned_to"] = list(heads)
    if width:
        (B, b), kept = main_directions(Z @ A.numpy().T + a.numpy(), width)
        A, a = B @ A.double(), B @ a.double() + b
        if width < Z.shape[1]:
            about["turned"] = {"from": Z.shape[1], "variance_kept": round(kept, 4)}
    return turned(load_checkpoint(student.folder), name, A, a, **about)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, help="folder of a distillation, or of a student")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--heads", nargs="*", metavar="TEACHER", help="by its heads for these; for all by default")
    parser.add_argument("--to", nargs="+", default=[], metavar="TEACHER")
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--rows", type=int, default=8000, help="inputs of the corpus to look at")
    parser.add_argument("--name", default="", help="of the new student; by default …-turned")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    student = load_student(arguments.student, device="cpu")
    (chunk,) = islice(open_table(arguments.corpus, modality=read_by(student)).chunks(arguments.rows), 1)
    inputs = list(chunk.values)
    Z = vectors(student, inputs)
    heads = {}
    if arguments.heads is not None:
        heads = {name: student.heads.linear(name) for name in arguments.heads or student.heads.teachers}
    heads |= {name: linear_head(Z, vectors(load_teacher(name), inputs)) for name in arguments.to}
    checkpoint = turn(student, Z, heads, arguments.width, arguments.name or f"{student.name}-turned")
    save_checkpoint(checkpoint, arguments.out)
    about = [checkpoint.provenance[key] for key in ("turned_to", "turned") if key in checkpoint.provenance]
    print(arguments.out, *about)


if __name__ == "__main__":
    main()

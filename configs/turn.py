"""Turn a graph student's embedding onto its main directions: fewer numbers that say nearly the same.

    python configs/turn.py build/molmv-base/student build/corpus.smi --width 512 -o build/molmv-base-512

The principal components of the embeddings of the corpus' first molecules, the largest ``--width`` of them, then turned at
random: so each number of the new embedding carries a share of every component, as before, and a probe that scales them
does not blow up the smallest. All of it is linear and becomes part of the readout: no layer is added. No label is read.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from molmv.models import load_student
from molmv.student.checkpoint import load_checkpoint, save_checkpoint

ROWS = 8000


def turn(folder: Path, corpus: Path, width: int, out: Path) -> None:
    """Write the turned student."""
    checkpoint, student = load_checkpoint(folder), load_student(folder, device="cpu")
    with corpus.open(encoding="utf-8") as file:
        smiles = [line.split()[0] for line, _ in zip(file, range(ROWS), strict=False)]
    vectors = student.embed(student.screen(smiles)).astype(np.float64)
    vectors = vectors[np.isfinite(vectors).all(1)]
    centre = vectors.mean(0)
    spread, axes = np.linalg.eigh(np.cov((vectors - centre).T))
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]
    turned = torch.from_numpy(axes[:, ::-1][:, :width] @ rotation)
    readout = student.encoder.readout.turned(turned.T, -turned.T @ torch.from_numpy(centre))
    weights = {**checkpoint.weights, **{f"readout.{name}": weight for name, weight in readout.items()}}
    kept = float(spread[::-1][:width].sum() / spread.sum())
    about = {
        **checkpoint.provenance,
        "turned": {"from": checkpoint.config["embedding"], "variance_kept": round(kept, 4)},
    }
    sizes = {**checkpoint.config, "embedding": width}
    save_checkpoint(replace(checkpoint, weights=weights, config=sizes, provenance=about, digest=""), out)
    check = load_student(out, device="cpu").embed(student.screen(smiles[:200]))
    expected = (student.embed(student.screen(smiles[:200])) - centre) @ turned.numpy()
    print(
        f"{out}: {width} of {len(centre)}, {kept:.1%} of the variance, off by {np.nanmax(np.abs(check - expected)):.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    turn(arguments.student, arguments.corpus, arguments.width, arguments.out)


if __name__ == "__main__":
    main()

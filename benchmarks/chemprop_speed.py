"""Speed of chemprop networks on one core: chemprop's dataset, loader and encoding beside molmv, in the same run.

    python benchmarks/chemprop_speed.py examples/library.csv --column smiles --molecules 2000

Networks of random weights, of chemprop's default size and of CheMeleon's. Processor time counts, all take turns, and
the best of several rounds counts: a busy machine changes little.
"""

import argparse
import csv
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chemprop import data, models, nn
from rdkit import Chem, RDLogger

from molmv.adapters.chemprop_mpnn import ChempropMpnn
from molmv.cards import Provenance, TeacherCard, Weights

SIZES = {"default": {}, "CheMeleon": {"d_h": 2048, "depth": 6}}


def read(path: Path, column: str, count: int) -> list[str]:
    """The first molecules of a CSV file, as canonical SMILES."""
    with path.open(newline="") as file:
        mols = [Chem.MolFromSmiles(row[column] or "") for row in csv.DictReader(file)]
    return [Chem.MolToSmiles(mol) for mol in mols if mol is not None and mol.GetNumAtoms()][:count]


def by_loader(model: Any, dataset: Any) -> np.ndarray:
    batches = data.build_dataloader(dataset, batch_size=64, shuffle=False, drop_last=False)
    return torch.cat([model.encoding(batch.bmg, batch.V_d, batch.X_d, 0) for batch in batches]).numpy()


def by_chemprop(model: Any, smiles: list[str]) -> np.ndarray:
    return by_loader(model, data.MoleculeDataset([data.MoleculeDatapoint.from_smi(text) for text in smiles]))


def by_chemprop_cuik(model: Any, smiles: list[str]) -> np.ndarray:
    return by_loader(model, data.CuikmolmakerDataset([data.LazyMoleculeDatapoint(text) for text in smiles]))


def adapter(folder: Path, model: Any) -> ChempropMpnn:
    path = folder / "model.pt"
    models.save_model(path, model)
    weights = Weights(file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    provenance = Provenance("none", (), ())
    return ChempropMpnn(TeacherCard("speed", "molecule", "chemprop_mpnn", 0, "gaussian", provenance, weights=weights))


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


@torch.inference_mode()
def compare(name: str, smiles: list[str], rounds: int) -> None:
    torch.manual_seed(0)
    block = nn.BondMessagePassing(**SIZES[name])
    model = models.MPNN(block, nn.MeanAggregation(), nn.RegressionFFN(input_dim=block.output_dim)).eval()
    with tempfile.TemporaryDirectory() as folder:
        ours = adapter(Path(folder), model)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "chemprop": lambda: by_chemprop(model, smiles),
        "chemprop, cuik-molmaker": lambda: by_chemprop_cuik(model, smiles),
        "molmv": lambda: ours.embed_batch(smiles),
    }
    times = np.array([[seconds(way) for way in ways.values()] for _ in range(rounds)]).min(axis=0)
    print(f"\n{name}: {len(smiles)} molecules, one thread, best of {rounds} rounds")
    for way, best in zip(ways, times, strict=True):
        print(f"{way:26}{len(smiles) / best:8.0f}/s   molmv {best / times[-1]:.2f} x")
    print(f"largest difference {np.abs(ways['chemprop']() - ways['molmv']()).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--column", default="smiles")
    parser.add_argument("--molecules", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, action="append", help="one of them, instead of both")
    args = parser.parse_args()

    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)
    smiles = read(args.file, args.column, args.molecules)
    for name in args.size or SIZES:
        compare(name, smiles, args.rounds)


if __name__ == "__main__":
    main()

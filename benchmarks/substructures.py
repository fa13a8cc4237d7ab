"""Does an embedding keep fine substructure? Looks without any label, on molecules that no student was distilled on.

    python benchmarks/substructures.py ../shared/data/corpus/other.smi.gz molmv-base molmv-small minimol ecfp-count

Properties reward what is global; a potency within a chemical series hangs on a methyl group. Each model is asked:

- environments: is a given environment of radius 3 in the molecule? Mean AUROC of logistic regressions, 100 environments
  that 1 to 10 % of the molecules have.
- substituents: which of eight groups replaced a hydrogen of an aromatic ring? Accuracy of a linear model on the
  difference of the two vectors, pairs of other molecules than those that it was fitted on (chance: 12.5 %).
- isomers: where was it put? Distance of two isomers that differ in the place of the group, beside the distance of such
  a molecule from the nearest other one: 0 if places are not told apart.
- neighbours: how many of the ten nearest molecules are among the ten nearest by ECFP counts (Tanimoto)? A random model
  would say 0.25 %.

Writes ``benchmarks/results/substructures.csv``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from molmv.evaluate.class_probes import linear_accuracy
from molmv.evaluate.contenders import Contender, contender
from molmv.evaluate.heads import scaled
from molmv.evaluate.logistic import fit_logistic
from molmv.evaluate.metrics import score

ROOT = Path(__file__).parent.parent
GROUPS = ("F", "Cl", "O", "N", "C", "OC", "C#N", "C(F)(F)F")
HYDROGEN = Chem.MolFromSmarts("[cH]")
TRAIN = 0.75


def read_molecules(path: Path, count: int) -> list[str]:
    """Every so-manieth molecule of 12 to 40 atoms, one fragment."""
    with gzip.open(path, "rt") as file:
        lines = [line.split()[0] for line in file if "." not in line]
    found = (Chem.MolFromSmiles(smiles) for smiles in lines[:: max(len(lines) // (2 * count), 1)])
    return [Chem.MolToSmiles(mol) for mol in found if mol and 12 <= mol.GetNumAtoms() <= 40][:count]


def environments(smiles: list[str], count: int) -> np.ndarray:
    """Which molecule has which of some environments of radius 3, (n, count)."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=3)
    said = []
    for text in smiles:
        output = rdFingerprintGenerator.AdditionalOutput()
        output.AllocateBitInfoMap()
        generator.GetSparseFingerprint(Chem.MolFromSmiles(text), additionalOutput=output)
        said.append({bit for bit, places in output.GetBitInfoMap().items() if any(radius == 3 for _, radius in places)})
    often = Counter(bit for bits in said for bit in bits)
    known = sorted(bit for bit, times in often.items() if 0.01 <= times / len(smiles) <= 0.1)
    drawn = np.random.default_rng(0).choice(known, min(count, len(known)), replace=False)
    return np.array([[bit in bits for bit in drawn] for bits in said])


def substituted(smiles: str, group: str, places: int, random: np.random.Generator) -> list[str]:
    """The molecule with a group at one of its aromatic CH, for some places that are not alike."""
    mol = Chem.MolFromSmiles(smiles)
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    unlike = {ranks[atom]: atom for (atom,) in mol.GetSubstructMatches(HYDROGEN)}
    drawn = random.permutation(sorted(unlike.values()))[:places]
    if len(drawn) < places:
        return []
    out = []
    for atom in drawn.tolist():
        combined = Chem.RWMol(Chem.CombineMols(mol, Chem.MolFromSmiles(group)))
        combined.AddBond(atom, mol.GetNumAtoms(), Chem.BondType.SINGLE)
        Chem.SanitizeMol(combined)
        out.append(Chem.MolToSmiles(combined))
    return out


def most_alike(X: np.ndarray, discrete: bool, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the most similar other rows, and the distance of the most similar one."""
    A = torch.from_numpy(X)
    if discrete:
        both, apart = A.sum(1)[:, None] + A.sum(1), torch.cdist(A, A, p=1)
        similar = (both - apart) / (both + apart).clamp_min(1)  # Tanimoto's: the smaller counts over the larger
    else:
        A = torch.nn.functional.normalize(A, dim=1)
        similar = A @ A.T
    similar.fill_diagonal_(-1)
    found = torch.topk(similar, count, dim=1)
    return found.indices.numpy(), 1 - found.values[:, 0].numpy()


def distances(A: np.ndarray, B: np.ndarray, discrete: bool) -> np.ndarray:
    """Of rows in pairs: Tanimoto's for counts, else that of the cosine."""
    if discrete:
        return 1 - np.minimum(A, B).sum(1) / np.maximum(A, B).sum(1).clip(1)
    return 1 - (A * B).sum(1) / np.linalg.norm(A, axis=1) / np.linalg.norm(B, axis=1)


def recovered(X: np.ndarray, Y: np.ndarray, discrete: bool, train: int) -> float:
    """Mean AUROC over the columns of Y."""
    A, B = (X[:train], X[train:]) if discrete else scaled(X[:train], X[train:])
    labels = torch.from_numpy(Y[:train].astype(np.float32))
    fitted = fit_logistic(
        torch.from_numpy(A), labels, torch.ones_like(labels, dtype=torch.bool), torch.full((Y.shape[1],), 0.01)
    )
    margins = fitted.margins(torch.from_numpy(B)).numpy()
    values = [score("AUROC", y, said) for y, said in zip(Y[train:].T.astype(float), margins.T, strict=True)]
    return float(np.nanmean(values))


def look(
    model: Contender, smiles: list[str], pairs: list[tuple[str, str, str, int]], Y: np.ndarray, counts: np.ndarray
) -> dict[str, float]:
    """The four numbers of one model; ``counts``: each molecule's neighbours by ECFP counts."""
    X, (parent, one, other) = model.vectors(smiles), (model.vectors([p[i] for p in pairs]) for i in range(3))
    train, half = round(len(smiles) * TRAIN), round(len(pairs) * TRAIN)
    group, rows = np.array([pair[3] for pair in pairs]), np.arange(len(pairs))
    alike, gap = most_alike(X, model.discrete, 10)
    apart = distances(one, other, model.discrete)
    return {
        "environments": recovered(X, Y, model.discrete, train),
        "substituents": linear_accuracy(one - parent, group, rows[:half], rows[half:]),
        "isomers": float(np.nanmedian(apart) / np.nanmedian(gap)),
        "neighbours": float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(alike, counts, strict=True)])),
    }


def main() -> None:
    """One row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--molecules", type=int, default=4000)
    args = parser.parse_args()
    smiles, random = read_molecules(args.corpus, args.molecules), np.random.default_rng(0)
    pairs = []
    for text in smiles:
        number = int(random.integers(len(GROUPS)))
        if made := substituted(text, GROUPS[number], 2, random):
            pairs.append((text, *made, number))
    Y, (counts, _) = environments(smiles, 100), most_alike(contender("ecfp-count").vectors(smiles), True, 10)
    print(f"{len(smiles)} molecules, {Y.shape[1]} environments, {len(pairs)} pairs", flush=True)
    rows = []
    for name in args.models:
        rows.append({"model": name, **look(contender(name), smiles, pairs, Y, counts)})
        print(rows[-1], flush=True)
        with (ROOT / "benchmarks" / "results" / "substructures.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({key: v if key == "model" else f"{v:.4f}" for key, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()

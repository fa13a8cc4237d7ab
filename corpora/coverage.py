"""How far a corpus covers the evaluation sets: ranges of properties, and nearest molecules. Labels are not read.

    python corpora/coverage.py build/corpus.smi build/derived.smi --sets ../shared/data -o benchmarks/results

Writes ``corpus-coverage.csv`` (quantiles and shares of the corpus files together, of each alone, and of the evaluation
molecules) and ``corpus-neighbours.csv`` (of each set: Tanimoto similarity of ECFP4, 2,048 bits, to the nearest molecule
of the corpus files). Both look at a random sample.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from identities import evaluation_molecules
from rdkit import Chem, DataStructs, RDLogger
from rdkit.Chem import Crippen, Descriptors, rdFingerprintGenerator, rdMolDescriptors

QUANTILES = (1, 25, 50, 75, 99)
NUMBERS = {
    "molecular weight, Da": Descriptors.MolWt,
    "logP": Crippen.MolLogP,
    "TPSA, Å²": rdMolDescriptors.CalcTPSA,
    "rotatable bonds": rdMolDescriptors.CalcNumRotatableBonds,
}
USUAL = {1, 6, 7, 8, 9, 15, 16, 17, 35, 53}
SHARES = {
    "below 150 Da": lambda mol: Descriptors.MolWt(mol) < 150,
    "several fragments": lambda mol: len(Chem.GetMolFrags(mol)) > 1,
    "charged": lambda mol: any(atom.GetFormalCharge() for atom in mol.GetAtoms() if not _balanced(atom)),
    "unusual elements": lambda mol: any(atom.GetAtomicNum() not in USUAL for atom in mol.GetAtoms()),
    "ring of 12 or more": lambda mol: any(len(ring) >= 12 for ring in mol.GetRingInfo().AtomRings()),
}


def _balanced(atom: Chem.Atom) -> bool:
    """Whether a neighbour balances the charge, as in nitro groups, N-oxides and azides."""
    return any(atom.GetFormalCharge() * other.GetFormalCharge() < 0 for other in atom.GetNeighbors())


def profile(mols: Sequence[Chem.Mol]) -> dict[str, str]:
    """Quantiles of numbers and shares in percent, ready to print."""
    row = {}
    for name, number in NUMBERS.items():
        found = np.percentile([number(mol) for mol in mols], QUANTILES)
        row[name] = " / ".join(f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}" for value in found)
    for name, test in SHARES.items():
        row[f"{name}, %"] = f"{100 * np.mean([test(mol) for mol in mols]):.1f}"
    return row


def molecules(lines: Iterable[str], count: int, draw: random.Random) -> list[Chem.Mol]:
    """A sample of molecules that parse."""
    found = sorted(set(lines))
    sample = draw.sample(found, min(count, len(found)))
    return [mol for text in sample if (mol := Chem.MolFromSmiles(text)) is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--sets", type=Path, required=True, help="folder with tdc/ and admet_group/")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=20_000, help="molecules of a file for the properties")
    parser.add_argument("--queries", type=int, default=250, help="molecules of a set for the neighbours")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    draw = random.Random(arguments.seed)
    lines = {path.name: [line.split()[0] for line in path.open() if line.strip()] for path in arguments.corpus}
    sets: dict[str, list[str]] = {}
    for name, smiles in evaluation_molecules(arguments.sets):
        sets.setdefault(name.lower(), []).append(smiles)
    groups: dict[str, Iterable[str]] = {**lines, "evaluation sets": [text for one in sets.values() for text in one]}
    if len(lines) > 1:
        groups = {"together": [text for one in lines.values() for text in one], **groups}

    def write(name: str, rows: list[dict[str, str]]) -> None:
        with (arguments.output / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    profiles = [
        {"molecules": name, **profile(molecules(group, arguments.sample, draw))} for name, group in groups.items()
    ]
    write("corpus-coverage.csv", profiles)

    bits = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    known = [bits.GetFingerprint(mol) for one in lines.values() for text in one if (mol := Chem.MolFromSmiles(text))]
    rows = []
    for name, smiles in sorted(sets.items()):
        queries = molecules(smiles, arguments.queries, draw)
        best = [max(DataStructs.BulkTanimotoSimilarity(bits.GetFingerprint(mol), known)) for mol in queries]
        low, middle, high = np.percentile(best, (5, 50, 95))
        above = {f"at least {limit}, %": f"{100 * np.mean(np.array(best) >= limit):.1f}" for limit in (0.4, 0.6, 0.8)}
        rows.append({"set": name, "5 %": f"{low:.2f}", "median": f"{middle:.2f}", "95 %": f"{high:.2f}", **above})
    write("corpus-neighbours.csv", rows)


if __name__ == "__main__":
    main()

"""What makes two SMILES the same molecule when nobody may have seen the other: three comparisons, each is enough."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import rdMolHash


def identities(smiles: str) -> set[str]:
    """Canonical SMILES; connectivity of the largest fragment; that without charges and tautomers. Empty if none."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return set()
    largest = max(Chem.GetMolFrags(mol, asMols=True), key=lambda part: part.GetNumHeavyAtoms())
    if largest.GetNumHeavyAtoms() < 5:  # of ions and solvents the fragment says nothing about the rest
        return {Chem.MolToSmiles(mol)}
    connectivity = Chem.MolToSmiles(largest, isomericSmiles=False)
    skeleton = rdMolHash.MolHash(largest, rdMolHash.HashFunction.HetAtomTautomer).split("_")[0]
    return {Chem.MolToSmiles(mol), f"connectivity {connectivity}", f"skeleton {skeleton}"}


def evaluation_molecules(folder: Path) -> Iterator[tuple[str, str]]:
    """Name of the set and SMILES of every row of the TDC sets and of the ADMET group below a folder."""
    for path in sorted([*folder.glob("tdc/*.csv*"), *folder.glob("admet_group/**/*.csv*")]):
        name = path.name.split(".")[0] if path.parent.name == "tdc" else path.parent.name
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for row in csv.DictReader(file):
                smiles = row.get("smiles") or row.get("Drug")
                if smiles:
                    yield name, smiles

"""No molecule of an evaluation set is in the corpus of the released students, by three comparisons."""

import csv
import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rdkit import Chem, RDLogger
from rdkit.Chem import rdMolHash


def evaluation_molecules(folder: Path) -> Iterator[str]:
    """SMILES of every TDC set and of the ADMET group."""
    for path in sorted([*folder.glob("tdc/*.csv*"), *folder.glob("admet_group/**/*.csv*")]):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for row in csv.DictReader(file):
                smiles = row.get("smiles") or row.get("Drug")
                if smiles:
                    yield smiles


def identities(smiles: str) -> set[str]:
    """Canonical SMILES; connectivity of the largest fragment; that without charges and tautomers."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return set()
    largest = max(Chem.GetMolFrags(mol, asMols=True), key=lambda part: part.GetNumHeavyAtoms())
    if largest.GetNumHeavyAtoms() < 5:  # of ions and solvents the fragment says nothing about the rest
        return {Chem.MolToSmiles(mol)}
    connectivity = Chem.MolToSmiles(largest, isomericSmiles=False)
    skeleton = rdMolHash.MolHash(largest, rdMolHash.HashFunction.HetAtomTautomer).split("_")[0]
    return {Chem.MolToSmiles(mol), f"connectivity {connectivity}", f"skeleton {skeleton}"}


def test_salt_stereoisomer_ion_and_tautomer_are_the_same_molecule():
    pairs = [
        ("CC[C@H](N)C(=O)O", "CC[C@@H](N)C(=O)O"),
        ("CCC(N)C(=O)O", "CCC(N)C(=O)[O-].[Na+]"),
        ("Oc1ccccn1", "O=c1cccc[nH]1"),
    ]
    for one, other in pairs:
        assert identities(one) & identities(other), (one, other)
    assert not identities("CCC(N)C(=O)O") & identities("CCC(N)C(=O)OC")


@pytest.mark.slow
def test_no_evaluation_molecule_is_in_the_corpus(shared_data: Path, root: Path, tmp_path: Path):
    corpus = tmp_path / "corpus.smi"
    source = shared_data / "corpus" / "permissive.smi.gz"
    command = [sys.executable, root / "corpora" / "sample.py", source, "-n", "250000", "--seed", "0", "-o", corpus]
    subprocess.run(command, check=True, capture_output=True)
    RDLogger.DisableLog("rdApp.*")
    known: set[str] = set()
    for smiles in set(evaluation_molecules(shared_data)):
        known |= identities(smiles)
    assert len(known) > 100_000
    found = [line for line in corpus.read_text().split("\n") if line and identities(line) & known]
    assert found == []

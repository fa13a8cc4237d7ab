"""No molecule of an evaluation set is in the corpus of the released students, by three comparisons."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from rdkit import RDLogger


@pytest.fixture
def corpora(root: Path, monkeypatch: pytest.MonkeyPatch):
    """The module with the comparisons."""
    monkeypatch.syspath_prepend(str(root / "corpora"))
    return importlib.import_module("identities")


def test_salt_stereoisomer_ion_and_tautomer_are_the_same_molecule(corpora):
    identities = corpora.identities
    pairs = [
        ("CC[C@H](N)C(=O)O", "CC[C@@H](N)C(=O)O"),
        ("CCC(N)C(=O)O", "CCC(N)C(=O)[O-].[Na+]"),
        ("Oc1ccccn1", "O=c1cccc[nH]1"),
    ]
    for one, other in pairs:
        assert identities(one) & identities(other), (one, other)
    assert not identities("CCC(N)C(=O)O") & identities("CCC(N)C(=O)OC")


@pytest.mark.slow
def test_no_evaluation_molecule_is_in_the_corpus(corpora, shared_data: Path, root: Path, tmp_path: Path):
    corpus = tmp_path / "corpus.smi"
    source = shared_data / "corpus" / "permissive.smi.gz"
    command = [sys.executable, root / "corpora" / "sample.py", source, "-n", "250000", "--seed", "0", "-o", corpus]
    subprocess.run(command, check=True, capture_output=True)
    RDLogger.DisableLog("rdApp.*")
    known: set[str] = set()
    for smiles in {smiles for _, smiles in corpora.evaluation_molecules(shared_data)}:
        known |= corpora.identities(smiles)
    assert len(known) > 100_000
    found = [line for line in corpus.read_text().split("\n") if line and corpora.identities(line) & known]
    assert found == []

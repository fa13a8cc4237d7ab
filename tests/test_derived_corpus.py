"""Molecules derived from a corpus: of the kind they say, new, repeatable, and none of an evaluation set."""

import importlib
import random
from pathlib import Path

import pytest
from rdkit import Chem

ACID, BASE = "CCCCCCc1ccc(C(=O)O)cc1", "CC(C)NCCCOc1ccc(Br)cc1"
AMINO_ACID = "NCCCCCCCCCCCCC(=O)O"
SOURCE = [ACID, BASE, AMINO_ACID, "O=c1cc[nH]c2ccccc12", "CN(C)CCc1ccc(CSc2ccccc2)cc1", "CCNC(=O)c1ccc(OCc2ccccc2)cc1"]


@pytest.fixture
def derive(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(root / "corpora"))
    return importlib.import_module("derive")


def made(function, smiles: str, tries: int = 30) -> set[str]:
    """All that a derivation makes of a molecule."""
    found = set()
    for seed in range(tries):
        for one in function(Chem.MolFromSmiles(smiles), random.Random(seed)):
            found.add(Chem.CanonSmiles(one if isinstance(one, str) else Chem.MolToSmiles(one)))
    return found


def test_salts_are_neutral_and_hold_the_molecule(derive):
    for smiles in (ACID, BASE):
        found = made(derive.salts, smiles)
        assert len(found) > 4
        for salt in found:
            assert Chem.GetFormalCharge(Chem.MolFromSmiles(salt)) == 0, salt
            assert "." in salt
    assert f"{Chem.CanonSmiles(ACID).replace('C(=O)O', 'C(=O)[O-]')}.[Na+]" in made(derive.salts, ACID)
    assert made(derive.salts, "c1ccccc1") == set()


def test_states_are_ions(derive):
    assert made(derive.states, ACID) == {Chem.CanonSmiles("CCCCCCc1ccc(C(=O)[O-])cc1")}
    assert made(derive.states, BASE) == {Chem.CanonSmiles("CC(C)[NH2+]CCCOc1ccc(Br)cc1")}
    both = {"[NH3+]CCCCCCCCCCCCC(=O)[O-]", "[NH3+]CCCCCCCCCCCCC(=O)O", "NCCCCCCCCCCCCC(=O)[O-]"}
    assert made(derive.states, AMINO_ACID) == {Chem.CanonSmiles(text) for text in both}
    assert Chem.CanonSmiles("C[N+](C)(C)CCc1ccc(CSc2ccccc2)cc1") in made(derive.states, SOURCE[4])


def test_tautomers(derive):
    assert Chem.CanonSmiles("Oc1ccnc2ccccc12") in made(derive.tautomers, "O=c1cc[nH]c2ccccc12")


def test_fragments_are_small(derive):
    found = made(derive.fragments, "CCNC(=O)c1ccc(OCc2ccccc2)cc1")
    assert "Cc1ccccc1" in found
    assert all(Chem.Descriptors.MolWt(Chem.MolFromSmiles(text)) < 150 for text in found)


def test_elements(derive):
    assert Chem.CanonSmiles("CC(C)NCCCOc1ccc(B(O)O)cc1") in made(derive.elements, BASE)
    assert any("Se" in text for text in made(derive.elements, SOURCE[4]))


def test_macrocycles_are_closed_by_an_amide(derive):
    assert made(derive.macrocycles, AMINO_ACID) == {"O=C1CCCCCCCCCCCCN1"}
    assert made(derive.macrocycles, "NCCCC(=O)O") == set()


def test_nothing_old_nothing_excluded_and_the_same_again(derive):
    identities = derive.identities
    first = list(derive.derive(SOURCE, 40, set(), 0))
    assert first == list(derive.derive(SOURCE, 40, set(), 0))
    assert len({text for text, _ in first}) == len(first) > 10
    assert not {text for text, _ in first} & {Chem.CanonSmiles(text) for text in SOURCE}
    barred = first[0][0]
    again = list(derive.derive(SOURCE, 40, identities(barred), 0))
    assert again
    assert not any(identities(text) & identities(barred) for text, _ in again)

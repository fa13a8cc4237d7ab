"""Every fingerprint of scikit-fingerprints by its name, equal to what the library says, and whole in a store."""

import inspect

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from molmv.cards import load_card
from molmv.embeddings import decode, encode
from molmv.errors import CardError, UnknownNameError
from molmv.models import load_teacher
from molmv.testing.adapter import MOLECULES, embed

skfp = pytest.importorskip("skfp.fingerprints", reason="scikit-fingerprints is not installed")

CLASSES = {n.removesuffix("Fingerprint"): getattr(skfp, n) for n in dir(skfp) if n.endswith("Fingerprint")}
del CLASSES["CLAMP"]  # a network, whose weights are downloaded
SPATIAL = [name for name, kind in CLASSES.items() if kind().requires_conformers]
FLAT = [name for name in CLASSES if name not in SPATIAL]
COUNTS = {name: {"count": True} for name in FLAT if "count" in inspect.signature(CLASSES[name]).parameters}
COUNTS |= {name: {"variant": "count"} for name in ("ERG", "EState", "MAP", "MHFP")}
del COUNTS["Pharmacophore"]  # scikit-fingerprints 2.1 fails on counting these


def vectors(name: str) -> np.ndarray:
    """The vectors of some molecules, after a check that a store keeps all of them."""
    teacher = load_teacher(name)
    found = embed(teacher, MOLECULES)
    kept = decode(encode(found, teacher.card.store_encoding), teacher.card.store_encoding, teacher.dim)
    np.testing.assert_array_equal(kept, found)
    return found


def directly(name: str, **options) -> np.ndarray:
    mols = [Chem.MolFromSmiles(Chem.CanonSmiles(smiles)) for smiles in MOLECULES]
    return np.nan_to_num(np.asarray(CLASSES[name](**options).transform(mols), dtype=np.float32))


@pytest.mark.parametrize("name", FLAT)
def test_is_what_the_library_says(name: str):
    np.testing.assert_array_equal(vectors(f"skfp:{name}"), directly(name))


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_what_the_library_says(name: str):
    assert load_card(f"skfp:{name}-count").likelihood == "count"
    np.testing.assert_array_equal(vectors(f"skfp:{name}-count"), directly(name, **COUNTS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPATIAL)
def test_spatial_ones_embed_a_conformer(name: str):
    assert vectors(f"skfp:{name}").any(axis=1).all()


def test_golden_ecfp_and_maccs():
    """Against RDKit itself."""
    mols = [Chem.MolFromSmiles(smiles) for smiles in MOLECULES]
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    np.testing.assert_array_equal(vectors("ecfp"), [morgan.GetFingerprintAsNumPy(mol) for mol in mols])
    np.testing.assert_array_equal(vectors("ecfp-count"), [morgan.GetCountFingerprintAsNumPy(mol) for mol in mols])
    np.testing.assert_array_equal(vectors("maccs"), [list(MACCSkeys.GenMACCSKeys(mol))[1:] for mol in mols])


@pytest.mark.parametrize("name", ["skfp:ECFF", "skfp:ecfp", "skfp:ECFPs-count"])
def test_a_wrong_name_gets_the_nearest(name: str):
    with pytest.raises(UnknownNameError, match=r"Did you mean '[A-Z0-9]*CFP'\?"):
        load_teacher(name)


@pytest.mark.parametrize("name", ["skfp:", "skfp:nothing like it"])
def test_a_name_like_none_gets_the_list(name: str):
    with pytest.raises(UnknownNameError, match=r"Known: AtomPair, .*WHIM"):
        load_teacher(name)


@pytest.mark.parametrize("name", ["Mordred", "BCUT2D", "VSA", "Pattern", "Pharmacophore"])
def test_what_does_not_count_says_so(name: str):
    with pytest.raises(CardError, match=f"{name} (takes no option count|refuses its options)"):
        load_teacher(f"skfp:{name}-count")


def test_a_wrong_suffix_is_refused():
    with pytest.raises(UnknownNameError, match=r"expected skfp:NAME or skfp:NAME-count"):
        load_card("skfp:ECFP-counts")

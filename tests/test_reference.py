"""Digests see what changes a vector, and only that; their files come back as they were written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from molmv.cards import card_folder, card_names, load_card
from molmv.errors import InputError
from molmv.reference import (
    TOLERANCE,
    Digest,
    Reference,
    directions,
    read_reference,
    reference_path,
    write_reference,
)
from molmv.reference_inputs import images, molecules, reference_inputs, texts

REFERENCES = sorted((card_folder() / "reference").glob("*.json"))


def test_the_molecules_are_diverse():
    mols = {name: Chem.MolFromSmiles(smiles) for name, smiles in molecules().items()}
    assert len(mols) == 16
    atoms = [atom for mol in mols.values() for atom in mol.GetAtoms()]
    assert {"B", "Si", "Se", "P", "S", "F", "Cl", "Na"} <= {atom.GetSymbol() for atom in atoms}
    assert any(atom.GetIsotope() for atom in atoms)
    assert any(atom.GetFormalCharge() for atom in atoms)
    assert any(Chem.FindMolChiralCenters(mol) for mol in mols.values())
    assert any(bond.GetStereo() != Chem.BondStereo.STEREONONE for mol in mols.values() for bond in mol.GetBonds())
    assert any(len(ring) >= 12 for mol in mols.values() for ring in mol.GetRingInfo().AtomRings())
    assert any(len(Chem.GetMolFrags(mol)) > 1 for mol in mols.values())
    sizes = [mol.GetNumAtoms() for mol in mols.values()]
    assert min(sizes) == 1
    assert max(sizes) > 80


def test_the_texts_are_diverse():
    found = texts()
    assert len(set(found.values())) == 16
    lengths = sorted(len(text.split()) for text in found.values())
    assert (lengths[0], lengths[-1] > 256) == (1, True)
    assert not "".join(found.values()).isascii()


def test_the_images_are_the_same_everywhere():
    found = images()
    assert len({image.tobytes() for image in found.values()}) == len(found) == 12
    assert {image.shape for image in found.values()} == {(96, 96, 3), (300, 400, 3), (96, 7, 3), (1, 1, 3)}
    assert {image.dtype for image in found.values()} == {np.dtype(np.uint8)}
    assert found["gradient"][3, 5].tolist() == [10, 6, 245]
    assert found["noise"][50, 70].tolist() == [60, 28, 220]


def test_directions_are_nearly_orthonormal():
    for dim in (166, 512, 2048):
        np.testing.assert_allclose(directions(dim) @ directions(dim).T, np.eye(8), atol=0.1)


@given(st.integers(0, 10_000), st.sampled_from([16, 300, 2048]), st.floats(-30, 30))
def test_rounding_is_forgiven_and_any_other_change_is_seen(seed: int, dim: int, magnitude: float):
    """Also that of a single column, beside one of another magnitude."""
    random = np.random.default_rng(seed)
    x = random.normal(size=dim)
    x[0] = 10.0**magnitude
    before = Digest.of(x)
    assert before.difference(before) == 0
    assert Digest.of(x * (1 + 1e-6 * random.normal(size=dim))).difference(before) < TOLERANCE
    changed = x.copy()
    changed[random.integers(1, dim)] += 1
    assert Digest.of(changed).difference(before) > TOLERANCE
    assert Digest.of(np.roll(x, 1)).difference(before) > TOLERANCE


def test_one_bit_of_a_fingerprint_is_seen():
    bits = np.zeros(2048)
    bits[:200:4] = 1
    for column in range(2048):
        other = bits.copy()
        other[column] = 1 - other[column]
        assert Digest.of(other).difference(Digest.of(bits)) > TOLERANCE


def test_a_vector_of_zeros():
    zero = Digest.of(np.zeros(10))
    assert zero.difference(zero) == 0
    assert Digest.of(np.ones(10)).difference(zero) > TOLERANCE


def test_it_comes_back_as_it_was_written(tmp_path: Path):
    card = replace(load_card("ecfp"), path=tmp_path / "ecfp.toml")
    written = Reference(3, {"rdkit": "1"}, {"water": Digest.of(np.array([1.0, 2, 3e20])), "odd": None}, 0.01)
    assert read_reference(card) is None
    path = write_reference(card, written)
    assert path == tmp_path / "reference" / "ecfp.json"
    assert read_reference(card) == written
    assert json.loads(path.read_text())["inputs"]["odd"] is None
    path.write_text("{}")
    with pytest.raises(InputError, match=r"ecfp\.json is not a reference"):
        read_reference(card)


def test_a_fingerprint_without_card_keeps_its_reference_with_the_others():
    assert reference_path(load_card("skfp:Avalon-count")) == card_folder() / "reference" / "skfp-Avalon-count.json"


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_every_stored_reference_is_whole(path: Path):
    assert path.stem in card_names()
    card = load_card(path.stem)
    reference = read_reference(card)
    assert reference.dim == card.dim or not card.dim
    assert list(reference.inputs) == list(reference_inputs(card.modality))
    assert TOLERANCE <= reference.tolerance < 0.1
    assert sum(digest is None for digest in reference.inputs.values()) < 8
    assert path.stat().st_size < 8_000

from xml.dom import minidom

import pytest

from molmv.depiction import draw


def test_pictures_are_whole_and_without_text():
    (picture,) = draw(["CC(=O)Oc1ccccc1C(=O)O"])
    tags = {node.tagName for node in minidom.parseString(picture).getElementsByTagName("*")}
    assert tags == {"svg", "path"}
    assert len(picture) < 15_000


@pytest.mark.parametrize("smiles", ["", "not a molecule", "c1ccccc"])
def test_what_cannot_be_drawn_is_empty(smiles: str):
    assert draw([smiles, "C"])[0] == ""


def test_labels_of_atoms_are_paths():
    (picture,) = draw(["CC |$<script>x</script>;$|"])
    tags = {node.tagName for node in minidom.parseString(picture).getElementsByTagName("*")}
    assert tags <= {"svg", "path"}


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "[Cu+2]", "[H][H]", "[2H]C", "*CC", "[CH3:1]C", "C" * 300])
def test_odd_molecules_have_a_picture(smiles: str):
    assert draw([smiles])[0].startswith("<svg")

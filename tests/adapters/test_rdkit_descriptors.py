import pytest

from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite, embed


class TestRdkitDescriptors(AdapterSuite):
    teacher_name = "rdkit-descriptors"

    def test_values_from_the_literature(self, teacher):
        """Aspirin: formula weight, polar surface (Ertl 2000), heavy atoms, hydrogen-bond donors."""
        named = dict(zip(teacher.adapter.names, embed(teacher, ["CC(=O)Oc1ccccc1C(=O)O"])[0], strict=True))
        assert named["MolWt"] == pytest.approx(180.16, abs=0.01)
        assert named["TPSA"] == pytest.approx(63.6, abs=0.05)
        assert (named["HeavyAtomCount"], named["NumHDonors"], named["RingCount"]) == (13, 1, 1)


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "[Og]", "*", "[H][H]", "C" * 300])
def test_what_is_undefined_or_huge_stays_finite(smiles: str):
    teacher = load_teacher("rdkit-descriptors")
    embed(teacher, [smiles])

import numpy as np
import pytest

from molmv.properties import PROPERTIES, properties


def test_aspirin():
    """Molecular weight and TPSA as PubChem gives them (180.16, 63.6); one ring, one donor."""
    found = {name: values[0] for name, values in properties(["CC(=O)Oc1ccccc1C(=O)O"]).items()}
    assert found["molecular weight"] == pytest.approx(180.16, abs=0.01)
    assert found["polar surface (TPSA)"] == pytest.approx(63.6, abs=0.05)
    assert found["rings"] == 1
    assert found["hydrogen-bond donors"] == 1
    assert found["share of sp3 carbons"] == pytest.approx(1 / 9)


def test_what_does_not_parse_is_unknown():
    found = properties(["", "c1ccccc", "C"])
    assert found.keys() == PROPERTIES.keys()
    for values in found.values():
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2])

"""What becomes of nasty input: a status and a reason for every row, and never a shift."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv import molecules
from molmv.rows import EMPTY, INVALID, OK, TOO_LARGE, Rows, row_keys

# input -> status, and what the reason must say
REFUSED = {
    "": (EMPTY, "empty SMILES"),
    " ": (EMPTY, "empty SMILES"),
    "\t\n": (EMPTY, "empty SMILES"),
    None: (EMPTY, "missing value"),
    math.nan: (EMPTY, "missing value"),
    7: (EMPTY, "missing value"),
    b"CCO": (EMPTY, "missing value"),
    "CCO name": (INVALID, "trailing text after the SMILES: 'name'"),
    "CCO\tname": (INVALID, "trailing text after the SMILES: 'name'"),
    "  CCO name": (INVALID, "trailing text after the SMILES: 'name'"),
    "CCO |$;;$|": (INVALID, "trailing text"),
    "CC>>CC": (INVALID, "reaction"),
    "CC>[Pd]>CC": (INVALID, "reaction"),
    "CC>CC": (INVALID, "reaction"),
    "InChI=1S/CH4/h1H4": (INVALID, "InChI"),
    "BQJCRHHNABKAKU-KBQPJGBKSA-N": (INVALID, "cannot parse"),
    "c1ccccc": (INVALID, "cannot parse"),
    "CC(": (INVALID, "cannot parse"),
    "N=N[Br]c2ccccc2)c": (INVALID, "cannot parse"),
    "n(H)(c1)": (INVALID, "cannot parse"),
    "nan": (INVALID, "cannot parse"),
    "None": (INVALID, "cannot parse"),
    "C\0C": (INVALID, r"'\x00' has no place"),
    "CCO–": (INVALID, r"'\u2013' has no place"),  # RDKit reads ethanol
    "\ufeffCCO": (INVALID, r"'\ufeff' has no place"),
    "C\ud800": (INVALID, r"'\ud800' has no place"),
    "CC1=CC=C[NH+2]([O-])C1": (INVALID, "valence"),
    "C1=ClC=ClC([Cl-]1)OS(=O)(=O)Cl": (INVALID, "valence"),
    "C(C)(C)(C)(C)C": (INVALID, "valence"),
    "FI(F)(F)(F)(F)(F)(F)F": (INVALID, "valence"),
    "c1cccc1": (INVALID, "aromaticity"),
    "cc": (INVALID, "aromaticity"),
    "C" * 1001: (TOO_LARGE, "1,001 atoms"),
    "C" * 1_000_000: (TOO_LARGE, "1,000,000 characters"),
}
ACCEPTED = [
    " CCO ",  # blanks around are no text
    "CCO\n",
    "[Na+].[Cl-]",
    "*CC",
    "[H][H]",
    "[H+]",
    "[2H]C",
    "[13CH4]",
    "[NH3]->[Pt](<-[NH3])(Cl)Cl",
    "CC(=O)O[Hg]",
    "F/C=C/F",
    "C[C@H](N)C(=O)O",
    "C" * 300,
    "C" * 1000,
    "NCC(=O)" * 60 + "O",
    "O=c1cccc[nH]1",
    "Oc1ccccn1",
    "C1" + "C" * 40 + "1",
    "[Og]",
]


def parsed(values: list) -> Rows:
    rows = molecules.screen(values)
    molecules.parse(rows)
    return rows


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value)[:30])
def test_refused_with_a_reason(value):
    rows = parsed(["CCO", value, "CCN"])
    status, reason = REFUSED[value]
    assert rows.status == [OK, status, OK]
    assert reason in rows.reason[1]
    assert "\n" not in rows.reason[1]
    assert len(rows.reason[1]) < 200


@pytest.mark.parametrize("smiles", ACCEPTED, ids=lambda smiles: smiles[:30])
def test_accepted(smiles: str):
    rows = parsed([smiles])
    assert rows.status == [OK], rows.reason
    assert rows.inputs == [smiles.strip()]


def test_zero_atoms_are_refused():
    """Even if nobody has screened them."""
    assert molecules.diagnose("") == (EMPTY, "no atoms")


def test_problems_of_the_file_come_first():
    rows = molecules.screen(["CCO", "CCN", None], {1: "line 3 has 5 fields, the header has 3"})
    assert rows.status == [OK, INVALID, EMPTY]
    assert rows.reason[1] == "line 3 has 5 fields, the header has 3"


def test_canonical_smiles_and_keys():
    rows = molecules.screen(["OCC", "C(C)O", "", "C[C@H](N)O", "C[C@@H](N)O"])
    canonical = molecules.canonicalise(rows)
    assert canonical[:3] == ["CCO", "CCO", ""]
    keys = row_keys(canonical)
    assert keys.dtype == np.uint64
    assert keys[0] == keys[1]
    assert keys[2] == 0
    assert len(set(keys.tolist())) == 4  # mirror images differ


def test_tautomers_have_their_own_keys():
    """They share an InChIKey."""
    pyridone, hydroxypyridine = row_keys(["O=c1cccc[nH]1", "Oc1ccccn1"])
    assert pyridone != hydroxypyridine


def test_rdkit_says_nothing(capfd: pytest.CaptureFixture[str]):
    parsed(["C(C)(C)(C)(C)C", "c1cccc1", "CC(", "[Xx]"])
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.one_of(st.text(), st.none(), st.sampled_from(["CCO", "c1ccccc1"]), st.text("CNOcn()=#123[]+-@/.%"))))
def test_any_text_gives_one_entry_a_row(values: list):
    rows = parsed(values)
    assert len(rows.inputs) == len(rows.status) == len(rows.reason) == len(values)
    for text, status, reason in zip(rows.inputs, rows.status, rows.reason, strict=True):
        assert (status == OK) == (reason == "") == (text != "")

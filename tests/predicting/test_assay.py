"""Bad assays are refused with the rows that are bad; good ones keep every row."""

import pytest
from assay_files import Write, write_assay
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import InputError
from molmv.predicting.assay import read_assay

NUMBERS = [("CCO", "5.1"), ("CCN", "6.2"), ("CCC", "7.3"), ("CCCl", "=4.0")]


def refused(path, match: str, **options) -> None:
    with pytest.raises(InputError, match=match) as error:
        read_assay(path, "pIC50", **options)
    assert error.value.hint


def test_numbers_are_a_regression(assay_file: Write):
    assay = read_assay(assay_file(NUMBERS), "pIC50")
    assert (assay.task, assay.y.tolist(), assay.smiles) == (
        "regression",
        [5.1, 6.2, 7.3, 4.0],
        ["CCO", "CCN", "CCC", "CCCl"],
    )
    assert not assay.notes


def test_missing_column_lists_what_there_is(assay_file: Write):
    refused(assay_file(NUMBERS, ("smiles", "value")), "no column 'pIC50'; its columns are: smiles, value")


def test_words_name_their_rows(assay_file: Write):
    refused(assay_file([*NUMBERS, ("CCF", "n.d."), ("CCBr", "5,5")]), r"no number in row 4 \('n.d.'\), row 5 \('5,5'\)")


@pytest.mark.parametrize("odd", ["inf", "1_0", "0x1F", "12 nM"])
def test_odd_numbers_are_none(assay_file: Write, odd: str):
    refused(assay_file([*NUMBERS, ("CCF", odd)]), "no number in row 4")


def test_constant_target(assay_file: Write):
    refused(assay_file([("CCO", "5"), ("CCN", "5.0"), ("CCC", "")]), "column 'pIC50' has the value '5' in every row")


def test_no_molecule_at_all(assay_file: Write):
    refused(assay_file([("ethanol", "5"), ("", "6")]), "no row holds a molecule. Row 0: cannot parse SMILES 'ethanol'")


@pytest.mark.parametrize("sign", [">", "<", ">=", "<=", "~", "≥"])
def test_censored_values(assay_file: Write, sign: str):
    path = assay_file([*NUMBERS, ("CCF", f"{sign} 8.5"), ("CCBr", f"{sign}9")])
    refused(path, r"censored in row 4 \('. 8.5'\)|censored in row 4 \('.. 8.5'\)")
    dropped = read_assay(path, "pIC50", censored="drop")
    assert dropped.status[4:] == ["censored", "censored"]
    assert (len(dropped), dropped.notes) == (4, ["2 censored values left out"])
    kept = read_assay(path, "pIC50", censored="keep-bound")
    assert kept.y.tolist()[4:] == [8.5, 9.0]
    assert kept.notes == ["2 censored values taken at their bound"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["1", "0", "1.0"], ("0", "1")),
        (["active", "inactive", "active"], ("inactive", "active")),
        (["No", "Yes", "No"], ("No", "Yes")),
        (["a", "b", "a"], ("a", "b")),
        (["-1", "1", "1"], ("-1", "1")),
        (["2", "10", "2"], ("2", "10")),
    ],
)
def test_two_values_are_classes(assay_file: Write, labels: list[str], classes: tuple[str, str]):
    assay = read_assay(assay_file(list(zip(["CCO", "CCN", "CCC"], labels, strict=True))), "pIC50")
    assert (assay.task, assay.classes) == ("classification", classes)
    assert [classes[int(y)] for y in assay.y] == [label.removesuffix(".0") for label in labels]


def test_task_can_be_said(assay_file: Write):
    path = assay_file([("CCO", "1"), ("CCN", "0"), ("CCC", "1")])
    assert read_assay(path, "pIC50", task="regression").classes == ()
    refused(assay_file(NUMBERS), r"has 4 classes \(4, 5.1, 6.2, 7.3\)", task="classification")


def test_a_number_among_words(assay_file: Write):
    refused(assay_file([("CCO", "active"), ("CCN", "5"), ("CCC", "inactive")]), r"no number in row 0 \('active'\)")


def test_a_test_file_has_the_classes_of_the_training_file(assay_file: Write):
    path = assay_file([("CCO", "active"), ("CCN", "unclear")])
    refused(path, r"neither 'inactive' nor 'active' in row 1 \('unclear'\)", classes=("inactive", "active"))


def test_repeated_molecules_are_merged_and_said(assay_file: Write):
    path = assay_file([("CCO", "5"), ("OCC", "7"), ("C(C)O", "6.5"), ("CCN", "6")])
    assay = read_assay(path, "pIC50")
    assert (assay.smiles, assay.y.tolist(), assay.molecule) == (["CCO", "CCN"], [6.5, 6.0], [0, 0, 0, 1])
    assert assay.status == ["ok", "merged", "merged", "ok"]
    (note,) = assay.notes
    assert "1 molecules stand in more than one row" in note
    assert "differ by up to 2" in note


def test_both_labels_are_a_conflict(assay_file: Write):
    path = assay_file([("CCO", "1"), ("OCC", "0"), ("CCN", "1"), ("CCC", "0")])
    assay = read_assay(path, "pIC50")
    assert (assay.smiles, assay.status) == (["CCN", "CCC"], ["conflict", "conflict", "ok", "ok"])
    assert assay.reason[1] == "the molecule has both labels (rows 0, 1)"
    assert assay.notes == ["1 molecules have both labels and were left out"]


def test_ids_of_two_molecules(assay_file: Write):
    path = assay_file([("CCO", "5", "A"), ("CCN", "6", "A"), ("OCC", "5", "B")], ("smiles", "pIC50", "id"))
    assay = read_assay(path, "pIC50", id_column="id")
    assert assay.notes[-1] == "1 ids belong to more than one molecule, e.g. 'A'; all were kept"
    assert [row[1] for row in assay.rows] == ["A", "A", "B"]


GOOD = st.tuples(st.sampled_from(["CCO", "OCC", "CCN", "c1ccccc1"]), st.sampled_from(["1.5", "2", "3.25", "=4"]))
BAD = st.tuples(st.sampled_from(["", "C(C", "CCO name", "CC"]), st.sampled_from(["", "nan", "NA", ">5", "3"]))


@given(st.lists(st.one_of(GOOD, BAD), min_size=1, max_size=12))
def test_every_row_has_a_fate(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]):
    rows = [("CCCC", "1"), ("CCCCC", "2"), ("CCCCCC", "3"), *rows]
    path = write_assay(tmp_path_factory.mktemp("assay") / "assay.csv", rows)
    assay = read_assay(path, "pIC50", censored="drop")
    assert [(row[0], row[2]) for row in assay.rows] == rows
    assert len(assay.status) == len(assay.reason) == len(assay.molecule) == len(rows)
    for status, reason, molecule in zip(assay.status, assay.reason, assay.molecule, strict=True):
        assert (status == "ok") == (reason == "")
        assert (molecule >= 0) == (status in ("ok", "merged"))
    assert sorted({m for m in assay.molecule if m >= 0}) == list(range(len(assay)))
    assert len(set(assay.canonical)) == len(assay)

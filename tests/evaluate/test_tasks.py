"""Reading tasks: hand-made files, the public sets, and every kind of bad input."""

import hashlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import InputError, UnknownNameError
from molmv.evaluate import labels, sources, tasks


def test_an_assay_is_read_merged_and_counted(assay):
    task = tasks.load_task(f"{assay}:size")
    assert (task.kind, task.refused, task.labels) == ("regression", 2, ("size",))
    merged = tasks.merge_duplicates(task)
    assert len(set(merged.canonical)) == len(merged) == len(set(task.canonical))
    assert merged.merged == len(task) - len(merged)
    assert merged.conflicts == 1
    first = [y for c, y in zip(task.canonical, task.Y[:, 0], strict=True) if c == task.canonical[0]]
    assert merged.Y[0, 0] == pytest.approx(np.mean(first))
    assert "2 refused" in tasks.describe(merged)
    assert "1 with conflicting labels" in tasks.describe(merged)


def test_contradicting_classes_are_no_label(assay):
    task = tasks.load_task(f"{assay}:active")
    assert task.kind == "classification"
    assert task.canonical[0] not in tasks.merge_duplicates(task).canonical


def test_several_targets_stay_several_labels(assay):
    task = tasks.load_task(f"{assay}:size,active")
    assert task.labels == ("size", "active")
    assert task.Y.shape[1] == 2


@given(st.lists(st.tuples(st.sampled_from(["CCO", "OCC", "CCN", "C"]), st.integers(0, 5)), min_size=2, max_size=20))
def test_merging_keeps_each_molecule_once_with_its_mean(rows):
    smiles, values = zip(*rows, strict=True)
    if len(set(values)) < 2:
        return
    task = tasks.make_task("t", smiles, np.array(values, dtype=float)[:, None], ["y"], "regression")
    merged = tasks.merge_duplicates(task)
    for canonical, y in zip(merged.canonical, merged.Y[:, 0], strict=True):
        mine = [v for c, v in zip(task.canonical, values, strict=True) if c == canonical]
        assert y == pytest.approx(np.mean(mine))
    assert sorted(merged.canonical) == sorted(set(task.canonical))


def test_a_molecule_in_both_official_parts_is_no_test_molecule():
    test = np.array([False, False, True, True])
    task = tasks.make_task("t", ["CCO", "CCN", "OCC", "CCC"], np.array([[1.0], [2], [3], [4]]), ["y"], test=test)
    merged = tasks.merge_duplicates(task)
    assert [merged.canonical[i] for i in np.flatnonzero(merged.test)] == ["CCC"]
    assert merged.Y[:, 0].tolist() == [1, 2, 4]


def test_public_sets_have_their_rows(shared_data):
    tox = tasks.load_task("tox21")
    assert (tox.name, len(tox), tox.Y.shape[1], tox.refused) == ("Tox21", 7823, 12, 8)
    assert np.isnan(tox.Y).any()
    assert len(tasks.merge_duplicates(tasks.load_task("SARSCoV2_Vitro_Touret"))) == 1480  # as TDC counts them
    official = tasks.load_task("hERG", "admet")
    assert (int(official.test.sum()), len(official)) == (132, 655)
    assert len(tasks.names("tdc")) == 35
    assert len(tasks.names("admet")) == 22


def test_the_public_table_knows_every_file(shared_data):
    for file in sources.files():
        assert hashlib.sha256((shared_data / file.file).read_bytes()).hexdigest() == file.sha256


def test_a_changed_public_file_is_refused(shared_data, tmp_path, monkeypatch):
    (tmp_path / "tdc").mkdir()
    shutil.copy(shared_data / "tdc" / "hERG.csv", tmp_path / "tdc" / "hERG.csv")
    (tmp_path / "tdc" / "hERG.csv").chmod(0o644)
    with (tmp_path / "tdc" / "hERG.csv").open("a") as file:
        file.write("C,1\n")
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    with pytest.raises(InputError, match="not the file known"):
        tasks.load_task("hERG")
    with pytest.raises(InputError, match="Set MOLMV_MIRROR"):
        tasks.load_task("AMES")


def test_an_address_needs_a_hash():
    with pytest.raises(InputError, match="needs the hash"):
        sources.user_file("https://example.invalid/assay.csv")


def test_unknown_names_are_explained(assay):
    with pytest.raises(UnknownNameError, match="Did you mean 'hERG'"):
        tasks.load_task("hEGR")
    with pytest.raises(InputError, match="no file"):
        tasks.load_task("absent.csv:y")
    with pytest.raises(InputError, match="no column 'pIC50'. Its columns: smiles, size, active".replace(".", r"\.")):
        tasks.load_task(f"{assay}:pIC50")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smiles,y\nC,1\nCC,high\nCCC,2\n", r"not a number in row 1 \('high'\)"),
        ("smiles,y\nC,1\nCC,>100\nCCC,<2\n", r"censored in row 1 \('>100'\), row 2"),
        ("smiles,y\nC,1\nCC,inf\n", "not a number in row 1"),
        ("smiles,y\nC,3\nCC,3\n", "is 3 for all 2 molecules"),
        ("smiles,y\nC,\nCC,\n", "has no value"),
        ("smiles,y\nx,1\ny,2\n", "none of 2 rows holds a molecule; row 0"),
        ("smiles,y\n", "no rows"),
        ("name,y\nC,1\n", "no column of SMILES"),
    ],
)
def test_bad_files_are_refused_with_the_rows(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        tasks.load_task(f"{path}:y")


def test_censored_values_can_be_dropped_or_kept():
    cells = ["1.5", ">100", " <= 2e1", "~7", ""]
    np.testing.assert_array_equal(labels.parse_labels(cells, "y", "f", "drop"), [1.5, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(labels.parse_labels(cells, "y", "f", "keep-bound"), [1.5, 100, 20, 7, np.nan])


def test_blank_lines_are_rows(tmp_path):
    path = tmp_path / "blank.csv"
    path.write_text("smiles,y\nC,1\n\nCCC,x\n")
    with pytest.raises(InputError, match="row 2"):
        labels.read_table(path, ["y"])

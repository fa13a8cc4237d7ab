"""A fit is honest: the choice never sees the test part, the baseline is there, no row is lost."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from assay_files import Write, write_assay
from fake_embedder import FakeEmbedder
from sklearn.metrics import r2_score, root_mean_squared_error

import molmv
from molmv.errors import InputError, OutputError
from molmv.predicting import FitResult

OPTIONS = {"split": "random", "head": "linear", "mlflow": None}


def rows_of(result: FitResult) -> list[dict[str, str]]:
    with (result.folder / "report" / "rows.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_signal_is_found_and_the_baseline_is_in_the_table(fitted: FitResult):
    linear, baseline, constant = fitted.table
    assert [line.name for line in fitted.table] == ["linear", "ecfp + random forest", "training mean"]
    assert linear.chosen
    assert linear.test["r2"] > 0.95 > baseline.test["r2"] > constant.test["r2"]
    assert fitted.figures["difference.high"] < 0  # RMSE: the head that knows the number of atoms is better


def test_rows_tell_the_split_and_the_figures(fitted: FitResult, measured: list[tuple[str, float]]):
    rows = rows_of(fitted)
    assert [(row["smiles"], float(row["value"])) for row in rows] == measured
    test = [row for row in rows if row["part"] == "test"]
    assert len(test) == 40
    assert {row["fold"] for row in rows if row["part"] == "train"} == set("01234")
    y, prediction, lower, upper = (
        np.array([float(row[name]) for row in test]) for name in ("value", "prediction", "lower", "upper")
    )
    figures = json.loads((fitted.folder / "report" / "metrics.json").read_text())
    np.testing.assert_allclose(figures["test.rmse"], root_mean_squared_error(y, prediction), rtol=1e-3)
    np.testing.assert_allclose(figures["test.r2"], r2_score(y, prediction), rtol=1e-3)
    assert figures["test.coverage"] == pytest.approx(np.mean((lower <= y) & (y <= upper)))


def test_figures_are_drawn(fitted: FitResult, classified: FitResult):
    pytest.importorskip("altair")
    for result, names in ((fitted, ("models", "test", "similarity")), (classified, ("models", "roc", "calibration"))):
        for name in names:
            assert (result.folder / "report" / f"{name}.png").stat().st_size > 1000
            assert (result.folder / "report" / f"{name}.html").is_file()


def test_the_choice_does_not_see_the_test_part(fitted: FitResult, tmp_path: Path):
    """Other values in the test part: the same head, the same intervals, the same predictions."""
    rows = [
        (row["smiles"], -float(row["value"]) if row["part"] == "test" else float(row["value"]))
        for row in rows_of(fitted)
    ]
    path = write_assay(tmp_path / "assay.csv", rows)
    other = molmv.fit(path, "pIC50", FakeEmbedder(), out=tmp_path / "model", **OPTIONS)
    smiles = [row[0] for row in rows]
    np.testing.assert_array_equal(other.predictor.predict(smiles).upper, fitted.predictor.predict(smiles).upper)
    assert other.table[0].test["r2"] < 0


def test_scaffolds_stay_on_one_side_and_in_one_fold(measured: list[tuple[str, float]], tmp_path: Path):
    from molmv.molecules import scaffolds

    path = write_assay(tmp_path / "assay.csv", measured)
    result = molmv.fit(path, "pIC50", FakeEmbedder(), head="linear", out=tmp_path / "model", mlflow=None)
    rows = rows_of(result)
    place = {}
    for row, scaffold in zip(rows, scaffolds([row["smiles"] for row in rows]), strict=True):
        assert place.setdefault(scaffold, (row["part"], row["fold"])) == (row["part"], row["fold"])


def test_a_test_file_that_shares_molecules(measured: list[tuple[str, float]], tmp_path: Path):
    path = write_assay(tmp_path / "assay.csv", measured[:150])
    test = write_assay(tmp_path / "test.csv", measured[140:])
    result = molmv.fit(path, "pIC50", FakeEmbedder(), test=test, out=tmp_path / "model", **OPTIONS)
    assert result.notes == [f"warning: 10 of the 60 molecules of {test} are in {path} too; they are not tested on"]
    rows = rows_of(result)
    assert [row["part"] for row in rows].count("test") == 50
    assert [row["status"] for row in rows if row["file"] == "test.csv"] == ["in_training"] * 10 + ["ok"] * 50
    again = write_assay(tmp_path / "again.csv", measured[:20])
    with pytest.raises(InputError, match=r"No molecule of .*again.csv is left to test on"):
        molmv.fit(path, "pIC50", FakeEmbedder(), test=again, out=tmp_path / "other", **OPTIONS)


def test_no_row_is_lost(measured: list[tuple[str, float]], tmp_path: Path):
    bad = [("C(C", 1), ("", 2), ("CCO name", 3), ("CCCCO", ""), ("CCCCN", ">5"), measured[0]]
    path = write_assay(tmp_path / "assay.csv", [*bad, *measured[:80]])
    result = molmv.fit(path, "pIC50", FakeEmbedder(), censored="drop", out=tmp_path / "model", **OPTIONS)
    found = [(row["status"], row["part"] != "") for row in rows_of(result)[:7]]
    assert found[:5] == [(s, False) for s in ("invalid", "empty", "invalid", "no_value", "censored")]
    assert found[5][0] == "ok"
    assert found[6] == ("merged", True)


def test_refit_keeps_a_model_of_everything(measured: list[tuple[str, float]], tmp_path: Path, fitted: FitResult):
    path = write_assay(tmp_path / "assay.csv", measured)
    result = molmv.fit(path, "pIC50", FakeEmbedder(), refit=True, out=tmp_path / "model", **OPTIONS)
    assert result.figures == fitted.figures
    assert len(result.predictor.domain.fingerprints) == 200
    assert len(fitted.predictor.domain.fingerprints) == 160


def test_classes_with_fewer_molecules_than_folds(measured: list[tuple[str, float]], assay_file: Write, tmp_path: Path):
    path = assay_file([(smiles, int(i < 4)) for i, (smiles, _) in enumerate(measured[:60])])
    with pytest.raises(InputError, match=r"Class '1' has \d molecules to train on, fewer than the 5 folds"):
        molmv.fit(path, "pIC50", FakeEmbedder(), out=tmp_path / "model", **OPTIONS)
    assert not (tmp_path / "model").exists()


def test_too_few_molecules(assay_file: Write, tmp_path: Path):
    path = assay_file([("CCO", 1.5), ("CCN", 2.5), ("CCC", 3.5)])
    with pytest.raises(InputError, match="2 molecules to train on are too few for 5 folds"):
        molmv.fit(path, "pIC50", FakeEmbedder(), out=tmp_path / "model", **OPTIONS)


def test_a_folder_that_holds_something(assay_file: Write, tmp_path: Path):
    path = assay_file([("CCO", 1.5), ("CCN", 2.5)])
    with pytest.raises(OutputError, match="holds something already"):
        molmv.fit(path, "pIC50", FakeEmbedder(), out=tmp_path, **OPTIONS)


@pytest.mark.parametrize(("option", "value"), [("split", "time"), ("head", "mlp"), ("level", 1.0), ("folds", 1)])
def test_unknown_options(assay_file: Write, tmp_path: Path, option: str, value: object):
    with pytest.raises(InputError, match=r"time|mlp|[Ll]evel"):
        molmv.fit(assay_file([]), "pIC50", FakeEmbedder(), out=tmp_path / "model", **{**OPTIONS, option: value})


@pytest.mark.parametrize(("model", "reads"), [("hashed-ngrams", "text"), ("hog", "image")])
def test_a_model_that_reads_no_molecules(assay_file: Write, tmp_path: Path, model: str, reads: str):
    with pytest.raises(InputError, match=f"for molecules .* reads modality {reads}") as caught:
        molmv.fit(assay_file([]), "pIC50", model, out=tmp_path / "model", **OPTIONS)
    assert f"molmv evaluate -p {reads}" in caught.value.hint
    assert not (tmp_path / "model").exists()

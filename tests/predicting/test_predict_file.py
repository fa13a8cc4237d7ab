"""A file of predictions has the rows of its input, whatever is in them."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from assay_files import write_assay

from molmv.errors import InputError, OutputError
from molmv.predicting import FitResult, predict_file

ROWS = [("CCO", "a"), ("", "b"), ("C(C", "c"), ("c1ccccc1O", "d"), ("CCO ethanol", "e"), ("CCN", "f")]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("chunk_size", [2, 100])
def test_rows_in_rows_out(fitted: FitResult, tmp_path: Path, ending: str, chunk_size: int):
    path, out = write_assay(tmp_path / "new.csv", ROWS, ("smiles", "id")), tmp_path / f"out.{ending}"
    summary = predict_file(fitted.predictor, path, out, id_column="id", chunk_size=chunk_size)
    assert str(summary).startswith("6 rows: 3 ok, 2 invalid, 1 empty; ")
    if ending == "csv":
        with out.open() as file:
            lines = [{k: v or None for k, v in line.items()} for line in csv.DictReader(file)]
    else:
        lines = pq.read_table(out).to_pylist()
    assert [line["id"] for line in lines] == list("abcdef")
    assert [int(line["row"]) for line in lines] == list(range(6))
    assert [line["status"] for line in lines] == ["ok", "empty", "invalid", "ok", "invalid", "ok"]
    expected = fitted.predictor.predict([smiles for smiles, _ in ROWS])
    for i, line in enumerate(lines):
        for name in ("prediction", "lower", "upper"):
            value = getattr(expected, name)[i]
            assert line[name] is None if np.isnan(value) else np.isclose(float(line[name]), value)


def test_a_broken_line_is_refused_in_its_place(fitted: FitResult, tmp_path: Path):
    (tmp_path / "new.csv").write_text("smiles,id\nCCO,1\nCCN,2,3\nCCC,4\n")
    predict_file(fitted.predictor, tmp_path / "new.csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["ok", "invalid", "ok"]
    assert "line 3 has 3 fields" in lines[1]["reason"]


def test_refusals(fitted: FitResult, tmp_path: Path):
    path = write_assay(tmp_path / "new.csv", [("CCO", "1")], ("smiles", "lower"))
    with pytest.raises(OutputError, match=r"ends in one of \.csv, \.parquet"):
        predict_file(fitted.predictor, path, tmp_path / "out.txt")
    with pytest.raises(OutputError, match="is the input"):
        predict_file(fitted.predictor, path, path, overwrite=True)
    with pytest.raises(InputError, match="a column 'lower' of its own"):
        predict_file(fitted.predictor, path, tmp_path / "out.csv", id_column="lower")
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        predict_file(fitted.predictor, path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"

"""The page about a property model, read back from what the fit wrote."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

import molmv
from molmv.errors import InputError

pytest.importorskip("sklearn")
pytest.importorskip("skfp")
pytest.importorskip("altair")

from molmv.reporting import of_fit
from molmv.reporting.blocks import Chart, Gallery
from molmv.reporting.sections import Options

OPTIONS = Options(None, None, None, 100, False, 0)
EVIL = "</script><img src=x onerror=hacked=1>"


@pytest.fixture(scope="module", params=["size", "large"])
def fitted(request: pytest.FixtureRequest, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fit on numbers, and on two classes; the last row is hostile and not used."""
    folder = tmp_path_factory.mktemp("fit")
    with library.open(newline="", encoding="utf-8") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file) if row["id"].startswith("NSC")][:120]
    with (folder / "assay.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "size", "large"])
        writer.writerows([text, len(text), "yes" if len(text) > 25 else "no"] for text in smiles)
        writer.writerow([EVIL, 3, "no"])
    options = {"head": "linear", "split": "random", "out": folder / "model", "mlflow": None}
    return molmv.fit(folder / "assay.csv", request.param, FakeEmbedder(), **options).folder


def test_test_part_is_the_one_that_was_scored(fitted: Path):
    with (fitted / "report" / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = ("no", "yes") if rows[0]["value"] in ("no", "yes") else ()
    tested, (kept, *_) = of_fit.read_tested(rows, classes), of_fit.read_lines(fitted / "report" / "heads.csv")
    assert kept.chosen
    if classes:
        assert set(tested.y) == {0.0, 1.0}
        assert ((tested.prediction >= 0) & (tested.prediction <= 1)).all()
    else:
        error = np.sqrt(np.mean((tested.y - tested.prediction) ** 2))
        assert error == pytest.approx(kept.test["rmse"], rel=1e-3)


def test_section_has_every_part(fitted: Path):
    (section,) = of_fit.sections(fitted, OPTIONS)
    assert [type(block) for block in section.blocks].count(Chart) == 3
    (gallery,) = [block for block in section.blocks if isinstance(block, Gallery)]
    assert len(gallery.rows[0]) == 6
    refused = section.blocks[-1]
    assert [row[1] for row in refused.rows] == [EVIL]


def test_page_is_written_and_hostile_text_is_no_code(fitted: Path, tmp_path: Path):
    text = molmv.report(fitted, tmp_path / "model.html").read_text("utf-8")
    assert "<img src=x" not in text
    assert "Property model" in text


def test_damaged_fit_is_named(fitted: Path, tmp_path: Path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "rows.csv").write_text("file,row\n")
    with pytest.raises(InputError, match="is damaged"):
        molmv.report(tmp_path, tmp_path / "r.html")

"""A predictor says the same after its way to the disk, row for row, and is refused when it is not the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from assay_files import write_assay
from fake_embedder import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import CheckpointError
from molmv.predicting import FitResult, load_predictor

ROWS = st.lists(st.sampled_from(["CCO", "c1ccccc1O", "", None, "C(C", "CCO name", "CC(=O)Nc1ccccc1"]), max_size=12)
NUMBERS = ("prediction", "lower", "upper", "similarity")


@pytest.fixture(params=["fitted", "classified"])
def result(request: pytest.FixtureRequest) -> FitResult:
    return request.getfixturevalue(request.param)


def test_the_same_after_saving(result: FitResult, measured: list[tuple[str, float]]):
    smiles = [text for text, _ in measured]
    before = result.predictor.predict(smiles)
    after = load_predictor(result.folder, FakeEmbedder()).predict(smiles)
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)
    assert after.in_domain.tolist() == before.in_domain.tolist()


@given(ROWS)
def test_rows_never_shift(classified: FitResult, smiles: list[str | None]):
    together = classified.predictor.predict(smiles)
    assert len(together) == len(smiles)
    for i, text in enumerate(smiles):
        alone = classified.predictor.predict([text])
        assert (together.status[i], together.reason[i]) == (alone.status[0], alone.reason[0])
        for name in NUMBERS:
            np.testing.assert_allclose(getattr(together, name)[i], getattr(alone, name)[0], atol=1e-9)
        assert np.isfinite(together.prediction[i]) == (together.status[i] == "ok")


def test_bounds_hold_the_prediction(result: FitResult, measured: list[tuple[str, float]]):
    found = result.predictor.predict([text for text, _ in measured])
    assert (found.lower <= found.prediction).all()
    assert (found.prediction <= found.upper).all()
    if result.predictor.classes:
        assert (found.lower >= 0).all()
        assert (found.upper <= 1).all()


def test_probability_is_of_the_active_class(classified: FitResult):
    small, large = classified.predictor.predict(["CCO", "CCCCCCCCCCCCc1ccc2ccccc2c1CCCCCC"]).prediction
    assert classified.predictor.classes == ("inactive", "active")
    assert small < 0.5 < large


def test_another_embedder_is_refused(fitted: FitResult):
    with pytest.raises(CheckpointError, match="fitted on 'fake' with the digest 000000000000…, 4 dimensions"):
        load_predictor(fitted.folder, FakeEmbedder(digest="1" * 64))
    with pytest.raises(CheckpointError, match="an object called 'fake'"):
        load_predictor(fitted.folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damage_is_noticed(fitted: FitResult, tmp_path: Path, name: str):
    folder = fitted.predictor.save(tmp_path / "copy")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CheckpointError):
        load_predictor(folder, FakeEmbedder())


def test_what_is_no_predictor(tmp_path: Path, root: Path):
    with pytest.raises(CheckpointError, match=r"is not a predictor: it holds no config\.json"):
        load_predictor(tmp_path)
    with pytest.raises(CheckpointError, match="holds a 'gine', not a predictor"):
        load_predictor(root / "students" / "molmv-small")


def test_nothing_is_pickled(fitted: FitResult):
    files = sorted(path.name for path in (fitted.folder / "predictor").iterdir())
    assert files == ["config.json", "model.safetensors"]
    assert json.loads((fitted.folder / "predictor" / "config.json").read_text())["kind"] == "predictor"


def test_a_students_folder_travels_with_the_predictor(
    measured: list[tuple[str, float]], tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    import shutil

    import molmv

    shutil.copytree(root / "students" / "molmv-small", tmp_path / "mine")
    path = write_assay(tmp_path / "assay.csv", measured[:80])
    options = {"split": "random", "head": "knn", "mlflow": None}
    result = molmv.fit(path, "pIC50", str(tmp_path / "mine"), out=tmp_path / "model", **options)
    before = result.predictor.predict(["CCO"]).prediction
    shutil.rmtree(tmp_path / "mine")
    moved = tmp_path / "model" / "predictor"
    moved = moved.rename(tmp_path / "elsewhere")
    again = molmv.load_predictor(moved)
    np.testing.assert_allclose(again.predict(["CCO"]).prediction, before, atol=1e-6)
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / "student" / "config.json").is_file()

"""Row i of the output is row i of the input, whatever the rows, the chunks and the batch."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

import molmv
from molmv.errors import InputError, TeacherError, UnknownNameError
from molmv.featurizing import featurize, featurize_file
from molmv.results import load_embeddings
from molmv.rows import EMPTY, ERROR, INVALID, OK, TOO_LARGE, Rows

FAKE = FakeEmbedder()
EXTENSIONS = [".parquet", ".csv", ".npz"]
GOOD = ["CCO", "c1ccccc1", "[Na+].[Cl-]", "C", "C[C@H](N)C(=O)O", "C1CC1", "[O-]C(=O)C", " CCN "]
# every kind of bad row -> its status
BAD = {
    "c1ccccc": INVALID,
    "": EMPTY,
    "  ": EMPTY,
    "C(C)(C)(C)(C)C": INVALID,
    "CCO name": INVALID,
    "CCO\tname": INVALID,
    "C" * 1001: TOO_LARGE,
    "C" * 1_000_000: TOO_LARGE,
    "CC>>CC": INVALID,
    "InChI=1S/CH4/h1H4": INVALID,
}


def write_csv(path: Path, smiles: list[str]) -> Path:
    pd.DataFrame({"id": [f"M{i}" for i in range(len(smiles))], "smiles": smiles}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("value", [*BAD, None, math.nan], ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_bad_row_keeps_its_place(value, place: int):
    smiles = ["CCO", "CCN"]
    smiles.insert(place, value)
    result = featurize(smiles, FAKE)
    assert len(result) == 3
    assert result.valid.tolist() == [i != place for i in range(3)]
    assert result.status[place] == BAD.get(value, EMPTY)
    assert result.reason[place]
    assert np.isnan(result.X[place]).all()
    np.testing.assert_array_equal(np.delete(result.X, place, 0), featurize(["CCO", "CCN"], FAKE).X)
    assert result.smiles[place] == (value if isinstance(value, str) else None)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_file_of_all_kinds_of_rows(tmp_path: Path, extension: str):
    smiles = [x for pair in zip(GOOD, BAD, strict=False) for x in pair] + list(BAD)
    out = tmp_path / f"out{extension}"
    summary = featurize_file(write_csv(tmp_path / "in.csv", smiles), out, FAKE, id_column="id", chunk_size=3)
    loaded, expected = load_embeddings(out), featurize(smiles, FAKE)
    np.testing.assert_array_equal(loaded.X, expected.X)
    assert loaded.smiles == smiles
    assert (loaded.status, loaded.reason) == (expected.status, expected.reason)
    assert loaded.ids == [f"M{i}" for i in range(len(smiles))]
    assert loaded.id_column == "id"
    assert summary.rows == len(smiles)
    assert summary.counts == {status: expected.status.count(status) for status in set(expected.status)}
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", out.name}


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(
    "smiles",
    [[], ["CCO"], [""], ["CCO"] * 9, ["CCO"] * 8 + [""], list(BAD)],
    ids=["header only", "one row", "one bad row", "last chunk of one row", "last chunk of one bad row", "all rows bad"],
)
def test_small_files_have_the_right_shape(tmp_path: Path, smiles: list[str], extension: str):
    out = tmp_path / f"out{extension}"
    featurize_file(write_csv(tmp_path / "in.csv", smiles), out, FAKE, chunk_size=4)
    loaded = load_embeddings(out)
    assert loaded.X.shape == (len(smiles), 4)
    assert loaded.smiles == smiles
    assert loaded.valid.tolist() == [text == "CCO" for text in smiles]


ROWS = st.lists(st.one_of(st.sampled_from(GOOD), st.sampled_from(list(BAD)[:6]), st.none(), st.text(max_size=8)))


@given(smiles=ROWS)
def test_row_i_is_row_i(smiles: list):
    """Each row is what it is alone: neither order nor neighbours matter."""
    together = featurize(smiles, FAKE)
    assert together.X.shape == (len(smiles), 4)
    for i, value in enumerate(smiles):
        alone = featurize([value], FAKE)
        np.testing.assert_array_equal(together.X[i], alone.X[0])
        assert (together.status[i], together.reason[i]) == (alone.status[0], alone.reason[0])


@given(smiles=st.lists(st.sampled_from(GOOD + list(BAD)[:6]), max_size=20), chunk_size=st.integers(1, 25))
def test_chunks_do_not_matter(tmp_path_factory: pytest.TempPathFactory, smiles: list[str], chunk_size: int):
    folder = tmp_path_factory.mktemp("chunks")
    featurize_file(write_csv(folder / "in.csv", smiles), folder / "out.parquet", FAKE, chunk_size=chunk_size)
    loaded, expected = load_embeddings(folder / "out.parquet"), featurize(smiles, FAKE)
    np.testing.assert_array_equal(loaded.X, expected.X)
    assert (loaded.smiles, loaded.status, loaded.reason) == (smiles, expected.status, expected.reason)


def test_problems_of_lines_become_reasons(tmp_path: Path):
    (tmp_path / "in.csv").write_text("id,smiles\nA,CCO\nB,CCN,1\n\nC,CCC\n")
    result = featurize(tmp_path / "in.csv", FAKE, id_column="id")
    assert result.status == [OK, INVALID, EMPTY, OK]
    assert result.reason[1] == "line 3 has 3 fields, the header has 2"
    assert result.ids == ["A", None, None, "C"]


def test_provenance_says_what_made_the_file(tmp_path: Path):
    path = write_csv(tmp_path / "in.csv", ["CCO", ""])
    featurize_file(path, tmp_path / "out.parquet", FAKE, id_column="id")
    found = load_embeddings(tmp_path / "out.parquet").provenance
    assert found["model"] == "fake"
    assert (found["digest"], found["dim"]) == (FAKE.digest, 4)
    assert found["options"] == {"column": "smiles", "id_column": "id", "chunk_size": 8192, "strict": False}
    assert found["provenance"] == {"licence": "MIT"}
    assert found["status"] == {"ok": 1, "empty": 1}
    assert {"molmv", "rdkit"} <= set(found)
    import hashlib

    assert found["input"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("wrap", [list, tuple, pd.Series, np.array, iter, lambda x: pd.Series(x, index=[7, 7, 9])])
def test_any_sequence_will_do(wrap):
    np.testing.assert_array_equal(featurize(wrap(GOOD[:3]), FAKE).X, featurize(GOOD[:3], FAKE).X)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        (pd.DataFrame({"smiles": ["CCO"]}), "found a DataFrame"),
        (np.array([["CCO"]]), "found a ndarray"),
        (np.array("CCO"), "found a ndarray"),
        ({"CCO": 1}, "found a dict"),
        ({"CCO"}, "found a set"),
        ("CCO", r"There is no file CCO\. To embed one molecule give a list: \['CCO'\]"),
        ("gone.csv", r"There is no file gone\.csv"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_list_of_smiles(smiles, message: str):
    with pytest.raises(InputError, match=message):
        featurize(smiles, FAKE)


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(InputError, match="already loaded"):
        featurize(["CCO"], FAKE, device="cpu")
    with pytest.raises(InputError, match="already loaded"):
        featurize(["CCO"], FAKE, batch_size=3)
    with pytest.raises(InputError, match="for a file only"):
        featurize(["CCO"], FAKE, id_column="id")


def test_unknown_model():
    with pytest.raises(UnknownNameError, match="no-such-model"):
        featurize(["CCO"], "no-such-model")


def test_root_names_stay_what_they_are():
    """Also the second time, when a submodule of that name has been imported."""
    pytest.importorskip("lightning")
    code = "import molmv; print([n for n in molmv.__all__ if getattr(molmv, n) is not getattr(molmv, n)])"
    root = Path(molmv.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True).stdout == b"[]\n"


def test_root_names_are_functions_whatever_was_imported_first():
    assert molmv.featurize is featurize
    assert molmv.load_embeddings is load_embeddings
    assert molmv.EmbeddingResult is type(featurize([], FAKE))


# A model that breaks its contract -------------------------------------------------------------------------------------


class Wrong(FakeEmbedder):
    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def embed(self, rows: Rows) -> np.ndarray:
        return self.change(rows, super().embed(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows, X: X[:-1],
        lambda rows, X: X[rows.valid],
        lambda rows, X: X[:, :-1],
        lambda rows, X: X[0],
        lambda rows, X: [rows.inputs.pop(), X][1],
    ],
    ids=["a row less", "bad rows dropped", "narrower", "one row for all", "rows changed"],
)
def test_missing_rows_are_an_error(tmp_path: Path, change):
    with pytest.raises(TeacherError, match=r"was given 3 rows and returned an array of shape"):
        featurize(["CCO", "", "CCN"], Wrong(change))
    path = write_csv(tmp_path / "in.csv", ["CCO", "", "CCN"])
    with pytest.raises(TeacherError):
        featurize_file(path, tmp_path / "out.parquet", Wrong(change))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_good_row_without_a_finite_vector_is_refused():
    def spoil(rows: Rows, X: np.ndarray) -> np.ndarray:
        X[0, 1], X[1] = np.nan, 7
        X[2, 3] = np.inf
        return X

    result = featurize(["CCO", "", "CCN", "CC"], Wrong(spoil))
    assert result.status == [ERROR, EMPTY, ERROR, OK]
    assert "not finite" in result.reason[0]
    assert np.isnan(result.X[:3]).all()

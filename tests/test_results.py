"""Files of embeddings: the same after a round trip, readable without molmv, and refused when they are not ours."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from molmv import formats
from molmv.errors import InputError, OutputError
from molmv.featurizing import featurize_file
from molmv.results import EmbeddingResult, load_embeddings
from molmv.rows import EMPTY, INVALID, OK

EXTENSIONS = [".parquet", ".csv", ".npz"]


def make(n: int = 5, dim: int = 3, ids: bool = True) -> EmbeddingResult:
    """Rows of which every third is refused."""
    X = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    X[1::3] = np.nan
    bad = [i % 3 == 1 for i in range(n)]
    return EmbeddingResult(
        X=X,
        inputs=[None if i == 1 else f"C{'(,' * (i % 7)}\n" for i in range(n)],
        status=[INVALID if b else OK for b in bad],
        reason=['cannot, "parse"' if b else "" for b in bad],
        ids=[None if i == 2 else f"=ID-{i}" for i in range(n)] if ids else None,
        id_column="compound",
        provenance={"model": "fake", "dim": dim},
    )


def assert_same(a: EmbeddingResult, b: EmbeddingResult) -> None:
    assert a.X.dtype == b.X.dtype == np.float32
    np.testing.assert_array_equal(a.X, b.X)
    assert (a.smiles, a.status, a.reason, a.ids) == (b.smiles, b.status, b.reason, b.ids)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("n", [0, 1, 5, 20_000])
def test_round_trip(tmp_path: Path, extension: str, ids: bool, n: int):
    result = make(n, ids=ids)
    result.save(tmp_path / f"out{extension}")
    loaded = load_embeddings(tmp_path / f"out{extension}")
    assert_same(loaded, result)
    assert loaded.id_column == ("compound" if ids else "id")
    assert loaded.provenance == ({} if extension == ".csv" else result.provenance)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{extension}"]


TEXT = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize("extension", EXTENSIONS)
@given(st.lists(st.tuples(TEXT, TEXT, st.floats(allow_nan=False, allow_infinity=False, width=32))))
def test_any_text_and_number_survives(tmp_path_factory: pytest.TempPathFactory, extension: str, rows: list):
    X = np.array([[number, -number] for *_, number in rows], dtype=np.float32).reshape(-1, 2)
    smiles, ids = [row[0] for row in rows], [row[1] for row in rows]
    result = EmbeddingResult(X, smiles, [OK] * len(rows), [""] * len(rows), ids)
    path = tmp_path_factory.mktemp("any") / f"out{extension}"
    result.save(path)
    assert_same(load_embeddings(path), result)


def test_parquet_as_others_read_it(tmp_path: Path):
    make(20_000).save(tmp_path / "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [8192, 8192, 3616]
    assert {field.name: field.type for field in file.schema_arrow} == {
        "row": pa.int64(),
        "compound": pa.string(),
        "smiles": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "embedding": pa.list_(pa.float32(), 3),
    }
    assert json.loads(file.schema_arrow.metadata[b"molmv"]) == {"model": "fake", "dim": 3}
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert np.isnan(np.stack(frame["embedding"])[1]).all()


def test_csv_as_others_read_it(tmp_path: Path):
    result = make()
    result.save(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["row", "compound", "smiles", "status", "reason", "e0", "e1", "e2"]
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[1][2:] == ["", INVALID, 'cannot, "parse"', "", "", ""]
    assert rows[3][1] == "=ID-3"  # a cell is written as it was read
    assert np.array_equal(np.array(rows[3][5:], dtype=np.float32), result.X[3])  # every digit


def test_npz_as_others_read_it(tmp_path: Path):
    result = make()
    result.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert set(file.files) == {"X", "valid", "rows.csv", "molmv.json"}
        np.testing.assert_array_equal(file["X"], result.X)
        np.testing.assert_array_equal(file["valid"], result.valid)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_same_data_same_bytes(tmp_path: Path, extension: str):
    """So that a resumed job can be compared with one that was not interrupted."""
    for name in "ab":
        make(100).save(tmp_path / f"{name}{extension}")
    assert (tmp_path / f"a{extension}").read_bytes() == (tmp_path / f"b{extension}").read_bytes()


def test_views_of_a_result():
    result = make()
    assert len(result) == 5
    assert result.valid.tolist() == [True, False, True, True, False]
    X, rows = result.dropna()
    assert rows.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(X, result.X[rows])
    failures = result.failures()
    assert failures.columns.tolist() == ["row", "compound", "smiles", "status", "reason"]
    assert failures["row"].tolist() == [1, 4]
    frame = result.to_frame()
    assert frame.columns.tolist() == ["row", "compound", "smiles", "status", "reason", "e0", "e1", "e2"]
    np.testing.assert_array_equal(frame[["e0", "e1", "e2"]].to_numpy(), result.X)
    assert repr(result) == "EmbeddingResult(5 rows, 3 ok, 3 dimensions, fake)"


def test_views_of_nothing():
    result = make(0, ids=False)
    assert (len(result), len(result.failures()), len(result.to_frame())) == (0, 0, 0)
    assert result.dropna()[0].shape == (0, 3)
    assert make(2).dropna()[0].shape == (1, 3)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.xlsx", r"no format has the extension '\.xlsx'"),
        ("out", "no format has the extension ''"),
        ("there.csv", "exists"),
        ("folder.csv", "is a folder"),
        ("nowhere/out.csv", "does not exist"),
    ],
)
def test_save_refuses(tmp_path: Path, name: str, message: str):
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=message):
        make().save(tmp_path / name)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"there.csv", "folder.csv"}


def test_save_overwrites_when_told(tmp_path: Path):
    make(3).save(tmp_path / "out.csv")
    make(5).save(tmp_path / "out.csv", overwrite=True)
    assert len(load_embeddings(tmp_path / "out.csv")) == 5


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(3).save(tmp_path / "out.csv")

    def disk_full(*args: object) -> None:
        args[0].write_text("half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "write", disk_full)
    with pytest.raises(OutputError, match=r"Cannot write .*out\.csv: No space left on device"):
        make(5).save(tmp_path / "out.csv", overwrite=True)
    assert len(load_embeddings(tmp_path / "out.csv")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("name", ["row", "smiles", "status", "reason", "embedding", "e17"])
def test_id_column_must_not_hide_another(tmp_path: Path, name: str):
    result = make()
    result.id_column = name
    with pytest.raises(InputError, match=f"a column '{name}' of its own"):
        result.save(tmp_path / "out.parquet")


def test_half_a_surrogate_pair_can_be_saved(tmp_path: Path):
    result = EmbeddingResult(np.full((1, 2), np.nan, np.float32), ["C\ud800"], [INVALID], ["bad"])
    result.save(tmp_path / "out.parquet")
    assert load_embeddings(tmp_path / "out.parquet").smiles == ["C?"]


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("damage", ["empty", "half", "noise"])
def test_load_refuses_damage(tmp_path: Path, extension: str, damage: str):
    path = tmp_path / f"out{extension}"
    make(50).save(path)
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "noise": bytes(range(256)) * 9}[damage])
    with pytest.raises(InputError, match=rf"out\{extension} is damaged or not a file of embeddings"):
        load_embeddings(path)


@pytest.mark.parametrize("extension", [".parquet", ".npz"])
def test_load_refuses_a_flipped_byte(tmp_path: Path, extension: str):
    """Of the vectors themselves: found by the checksums of parquet pages and zip members."""
    path = tmp_path / f"out{extension}"
    make(1000, dim=64).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        load_embeddings(path)


def test_load_refuses_what_is_not_ours(tmp_path: Path):
    foreign = pa.table({"smiles": ["CCO"], "embedding": pa.array([[1.0, 2.0]])})
    pq.write_table(foreign, tmp_path / "foreign.parquet")
    (tmp_path / "foreign.csv").write_text("smiles,y\nCCO,1\n")
    np.savez(tmp_path / "foreign.npz", X=np.zeros((2, 2)))
    (tmp_path / "notes.txt").write_text("hello")
    for name in ("foreign.parquet", "foreign.csv", "foreign.npz", "notes.txt"):
        with pytest.raises(InputError, match="not a file of embeddings"):
            load_embeddings(tmp_path / name)
    with pytest.raises(InputError, match="There is no file"):
        load_embeddings(tmp_path / "gone.parquet")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('\n3,"', '\n7,"', "its rows are not 0, 1, 2"),
        ('"ok"', '"fine"', "status 'fine' is unknown"),
        ('"ok"', f'"{EMPTY}"', "a row with status 'ok' has no embedding, or a refused one has"),
        ('"status"', '"state"', "its columns are"),
    ],
)
def test_load_refuses_what_does_not_fit_together(tmp_path: Path, before: str, after: str, message: str):
    path = tmp_path / "out.csv"
    make().save(path)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        load_embeddings(path)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_half_precision(tmp_path: Path, extension: str):
    (tmp_path / "in.csv").write_text("smiles\nCCO\nbad\n" + "C" * 300 + "\n")
    out, whole = tmp_path / f"half{extension}", tmp_path / f"whole{extension}"
    thirds = FakeEmbedder(embed=lambda rows: FakeEmbedder().embed(rows) / np.float32(3))
    featurize_file(tmp_path / "in.csv", out, thirds, dtype="float16")
    featurize_file(tmp_path / "in.csv", whole, thirds)
    found, expected = load_embeddings(out), load_embeddings(whole)
    assert found.X.dtype == np.float32
    np.testing.assert_array_equal(found.X, expected.X.astype(np.float16).astype(np.float32))
    assert found.status == expected.status
    if extension == ".parquet":
        assert str(pq.read_schema(out).field("embedding").type) == "fixed_size_list<element: halffloat>[4]"
    if extension == ".npz":
        assert np.load(out)["X"].dtype == np.float16


@pytest.mark.parametrize("extension", [".parquet", ".npz"])
def test_half_precision_is_half_the_size(tmp_path: Path, extension: str):
    (tmp_path / "in.smi").write_text("CCO\n" * 500)
    noise = FakeEmbedder(dim=512, embed=lambda rows: np.random.default_rng(0).normal(size=(500, 512)))
    sizes = []
    for dtype in ("float32", "float16"):
        out = tmp_path / f"{dtype}{extension}"
        featurize_file(tmp_path / "in.smi", out, noise, dtype=dtype)
        sizes.append(out.stat().st_size)
    assert sizes[1] <= 0.55 * sizes[0]


def test_what_half_precision_cannot_hold(tmp_path: Path):
    (tmp_path / "in.smi").write_text("C\nCC\n")
    huge = FakeEmbedder(embed=lambda rows: np.array([[1, 2, 3, 4], [1, 2, 1e5, 4]]))
    with pytest.raises(OutputError, match=r"Row 1 has a number of 1e\+05.*float16"):
        featurize_file(tmp_path / "in.smi", tmp_path / "out.parquet", huge, dtype="float16")
    with pytest.raises(InputError, match="'float8'"):
        featurize_file(tmp_path / "in.smi", tmp_path / "out.parquet", huge, dtype="float8")

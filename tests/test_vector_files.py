"""Vectors that numpy, pandas and arrow wrote are read back; what is not such a file is refused."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from molmv import vector_files
from molmv.errors import InputError
from molmv.vector_files import read_vectors

SMILES = ["CCO", "C[N+](C)(C)C", "c1ccccc1"]
X = np.array([[1.5, -2.0], [0.25, 3e4], [0.0, 7.0]], np.float32)


def as_parquet_lists(path: Path, labels: list[str], values: np.ndarray) -> None:
    pq.write_table(pa.table({"smiles": labels, "embedding": pa.array(list(values))}), path, row_group_size=2)


def as_parquet_columns(path: Path, labels: list[str], values: np.ndarray) -> None:
    frame = pd.DataFrame(values, columns=[f"e{i}" for i in range(values.shape[1])])
    frame.assign(SMILES=labels, row=range(len(labels))).to_parquet(path)


def as_csv(path: Path, labels: list[str], values: np.ndarray) -> None:
    frame = pd.DataFrame(values, columns=[f"e{i}" for i in range(values.shape[1])])
    frame.assign(SMILES=labels, row=range(len(labels))).to_csv(
        path, index=False, sep="\t" if ".tsv" in path.name else ","
    )


def as_npz(path: Path, labels: list[str], values: np.ndarray) -> None:
    np.savez_compressed(path, X=np.asfortranarray(values), smiles=np.array(labels, dtype="U"))


WRITERS: dict[str, Callable[..., None]] = {
    "lists.parquet": as_parquet_lists,
    "columns.parquet": as_parquet_columns,
    "t.csv": as_csv,
    "t.csv.gz": as_csv,
    "t.tsv": as_csv,
    "t.npz": as_npz,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "_ROWS", 2)  # more than one piece
    WRITERS[name](tmp_path / name, SMILES, X)
    found = read_vectors(tmp_path / name)
    assert found.labels == SMILES
    np.testing.assert_array_equal(found.vectors, X)
    assert isinstance(found.vectors, np.memmap)


@given(
    values=hnp.arrays(
        st.sampled_from(["<f2", "<f4", "<f8", "<i4", "|u1", "|b1", ">f4"]),
        st.tuples(st.integers(0, 5), st.integers(1, 5)),
    ),
    fortran=st.booleans(),
)
def test_npy_of_any_numbers(values: np.ndarray, fortran: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, np.asfortranarray(values) if fortran else values)
    found = read_vectors(path, labelled=False).vectors
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.npz"])
def test_what_featurize_writes(name: str, tmp_path: Path) -> None:
    import molmv

    result = molmv.featurize([*SMILES, "CC("], model="rdkit-descriptors")
    result.save(str(tmp_path / name))
    found = read_vectors(tmp_path / name)
    assert found.labels == [*SMILES, "CC("]
    np.testing.assert_array_equal(found.vectors, result.X)


def test_rows_without_a_vector_keep_their_place(tmp_path: Path) -> None:
    lists = pa.array([None, None, [1.0, 2.0], [None, 4.0], None], pa.list_(pa.float16()))
    table = pa.table({"id": [5, 6, 7, 8, None], "v": lists})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    found = read_vectors(tmp_path / "t.parquet", "id", "v")
    assert found.labels == ["5", "6", "7", "8", None]
    np.testing.assert_array_equal(found.vectors, [[np.nan] * 2, [np.nan] * 2, [1, 2], [np.nan, 4], [np.nan] * 2])
    (tmp_path / "t.csv").write_text("smiles,x,y\nC,1,\nCC,NaN,2\nN,inf,3\n")
    found = read_vectors(tmp_path / "t.csv", vector=["y", "x"])
    np.testing.assert_array_equal(found.vectors, [[np.nan, 1], [2, np.nan], [3, np.inf]])


def npy(shape: tuple[int, ...], descr: str = "<f4", body: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + body


def zipped(**kwargs: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **kwargs) as archive:
        archive.writestr("X.npy", npy((3, 2), body=X.tobytes()))
    return file.getvalue()


def claiming(size: int) -> bytes:
    """An npz whose directory claims that its array unpacks to ``size`` bytes, as its header does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", npy((size // 4, 1)))
        archive.getinfo("X.npy").file_size = size
    return file.getvalue()


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", npy((10**6, 10**6)), r"its header promises 4,000,000,000,000 bytes \(shape \(1000000, 1000000\)"),
        ("a.npy", npy((3, 2), body=X.tobytes()[:-1]), "promises 24 bytes .*, there are 23"),
        ("a.npy", npy((3, 2), body=X.tobytes() + b"x"), "promises 24 bytes .*, there are 25"),
        ("a.npy", npy((6,), body=X.tobytes()), r"expected one row of numbers .* \(6,\) of float32"),
        ("a.npy", npy((3, 1), "<c8", body=X.tobytes()), "expected one row of numbers .* complex64"),
        ("a.npy", pickled(np.array([["x", None]], object)), "Python objects, which are not opened"),
        ("a.npy", b"nothing of the kind", "cannot be read: the magic string is not correct"),
        ("a.npy", b"", "cannot be read"),
        ("a.npz", b"PK nothing", "cannot be read: File is not a zip file"),
        ("a.npz", zipped(compression=zipfile.ZIP_BZIP2), "compressed in a way"),
        ("a.npz", claiming(4 * 10**9), "claims to unpack to 4,000,000,000 bytes"),
        ("a.npz", zipped().replace(b"X.npy", b"Y.npy"), "has no array 'X'; it has Y"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"smiles,e0\nC,1\nCC,x\n", "cannot be read: .*conversion error to float: invalid value 'x'"),
        ("a.csv", b"smiles,e0\nC,1\nCC\n", "cannot be read: .*Expected 2 columns, got 1"),
        ("a.csv", b"smiles,x\nC,1\n", r"expected columns embedding or e\[0-9\]\*, each once; it has smiles, x"),
        ("a.csv", b"smiles,e0,e0\nC,1,2\n", "each once"),
        ("a.xlsx", b"", "no reader for .xlsx"),
    ],
)
def test_what_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_vectors(tmp_path / name, labelled=False)


@pytest.mark.parametrize("header", ["molecule,e0", "smiles,Smiles,e0"])
def test_the_column_of_smiles_must_be_clear(header: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(header + "\n")
    with pytest.raises(InputError, match=r"has (no|2) column called smiles; its columns: (molecule|smiles)"):
        read_vectors(tmp_path / "a.csv")


def test_lists_of_other_lengths_are_refused_by_their_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "_ROWS", 2)
    as_parquet_lists(tmp_path / "a.parquet", SMILES, [[1.0, 2.0], [3.0, 4.0], [5.0]])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="row 2 has 1 numbers, the others have 2"):
        read_vectors(tmp_path / "a.parquet")


def test_an_npy_has_no_smiles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(InputError, match=r"holds no SMILES and no ids\. .*option rows"):
        read_vectors(tmp_path / "a.npy")

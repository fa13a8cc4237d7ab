"""For a file that cannot be read, one clear sentence: what, where, and what to do."""

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molmv.errors import InputError
from molmv.table import open_table

TEXT = "id,smiles\nA,CCO\nB,CCN\n"


@pytest.fixture
def file(tmp_path: Path):
    """Writes bytes or text to a file and gives its path."""

    def write(content: str | bytes, name: str = "in.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


BINARY = bytes(range(256)) * 40
LINES = "smiles\n" + "CCO\n" * 3000
BROKEN = {
    "empty": ("", "in.csv", "is empty"),
    "only a BOM": (b"\xef\xbb\xbf", "in.csv", "is empty"),
    "binary": (BINARY, "in.csv", "not text but a binary file"),
    "zip": (b"PK\x03\x04\x14\x00\x06\x00" + BINARY, "in.xlsx", "not text but a binary file"),
    "a NUL later": (LINES.encode() + b"C\0C\n", "in.csv", "line 3002 holds a NUL byte"),
    "latin-1": (LINES.encode() + b"caf\xe9\n", "in.csv", r"line 3002 is not UTF-8 \(b'\\xe9'\)"),
    "latin-1 in the header": (b"smiles,caf\xe9\nCCO,1\n", "in.csv", "line 1 is not UTF-8"),
    "half a UTF-16 file": ("smiles\nCCO\nCCN\n".encode("utf-16")[:-1], "in.csv", "line 3 is not UTF-16"),
    "latin-1 in UTF-16": (LINES.encode("utf-16-le") + b"\x00\xdc\n\x00", "in.csv", "line 3002 is not UTF-16-LE"),
    "truncated gzip": (
        gzip.compress(os.urandom(20).hex().encode() * 3000)[:-9],
        "in.csv.gz",
        "truncated or damaged gzip",
    ),
    "gzip header only": (gzip.compress(b"smiles\nCCO\n")[:5], "in.csv.gz", "truncated or damaged gzip"),
    "damaged gzip": (gzip.compress(LINES.encode())[:-8] + b"x" * 8, "in.csv.gz", "truncated or damaged gzip"),
    "no parquet": ("smiles\nCCO\n", "in.parquet", "is not a parquet file"),
    "damaged parquet": (b"PAR1" + BINARY + b"PAR1", "in.parquet", "damaged parquet file"),
    "no SMILES column": ("id,structure\nA,CCO\n", "in.csv", "no column called smiles; its columns are: id, structure"),
    "two candidates": ("Smiles,canonical_smiles\nC,C\n", "in.csv", "'Smiles' and 'canonical_smiles' could each"),
    "the same column twice": ("smiles,smiles\nC,C\n", "in.csv", "could each hold the SMILES"),
    "no header": ("CCO\nCCN\n", "in.csv", "has no header: line 1 is a molecule"),
    "no header but names": ("CCO ethanol\nCCN amine\n", "in.csv", "has no header"),
    "blank header": ("\nCCO\n", "in.csv", r"its columns are: \(none\)"),
    "unclosed quote": ('smiles,y\nCCO,1\nCCN,"2\nCCC,3\n', "in.csv", "a quote opened on line 3 is never closed"),
    "unclosed quote, long": (
        'smiles\nCCO\n"' + "C" * (1 << 24) + "\n",
        "in.csv",
        "line 3: field larger than field limit",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_one_clear_error(file, case: str):
    content, name, message = BROKEN[case]
    path = file(content, name)
    with pytest.raises(InputError, match=message) as caught:
        list(open_table(path).chunks(100))
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"There is no file .*gone\.csv"):
        open_table(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="is a folder"):
        open_table(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="only a plain POSIX user can be refused a file")
def test_unreadable_file(file):
    path = file(TEXT)
    path.chmod(0)
    with pytest.raises(InputError, match=r"Cannot read .*: Permission denied"):
        open_table(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"column": "structure"}, "no column 'structure'; its columns are: id, smiles"),
        ({"id_column": "compound"}, "no column 'compound'; its columns are: id, smiles"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_unknown_column(tmp_path: Path, kind: str, columns: dict, message: str):
    if kind == "csv":
        (tmp_path / "in.csv").write_text(TEXT)
    else:
        pq.write_table(pa.table({"id": ["A"], "smiles": ["C"]}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=message):
        open_table(tmp_path / f"in.{kind}", **columns)


@pytest.mark.parametrize("columns", [{"column": "structure"}, {"column": "name"}, {"id_column": "smiles"}])
def test_unknown_column_of_smi(file, columns: dict):
    with pytest.raises(InputError):
        open_table(file("CCO ethanol\n", "in.smi"), **columns)


def test_parquet_column_must_be_text(tmp_path: Path):
    pq.write_table(pa.table({"smiles": [1, 2]}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match="'smiles' holds int64, not text"):
        open_table(tmp_path / "in.parquet")

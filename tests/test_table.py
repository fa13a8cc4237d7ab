"""The rows of any file that a chemist has, with the right numbers."""

import csv
import gzip
import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import InputError
from molmv.table import Chunk, open_table


def read(path: Path | str, size: int = 100, **columns: str) -> list[Chunk]:
    return list(open_table(path, **columns).chunks(size))


def values(path: Path | str, **columns: str) -> list[str | None]:
    return [value for chunk in read(path, **columns) for value in chunk.values]


@pytest.fixture
def file(tmp_path: Path):
    """Writes bytes or text to a file and gives its path."""

    def write(content: str | bytes, name: str = "in.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


TEXT = "id,smiles\nA,CCO\nB,CCN\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", TEXT.encode()),
        ("a.CSV", TEXT.encode()),
        ("no_newline_at_the_end.csv", TEXT.strip().encode()),
        ("crlf.csv", TEXT.replace("\n", "\r\n").encode()),
        ("cr.csv", TEXT.replace("\n", "\r").encode()),
        ("bom.csv", TEXT.encode("utf-8-sig")),
        ("utf16.csv", TEXT.encode("utf-16")),
        ("utf16_big_endian.csv", b"\xfe\xff" + TEXT.encode("utf-16-be")),
        ("utf16_without_bom.csv", TEXT.encode("utf-16-le")),
        ("utf16_without_bom_big_endian.csv", TEXT.encode("utf-16-be")),
        ("utf32.csv", TEXT.encode("utf-32")),
        ("a.csv.gz", gzip.compress(TEXT.encode())),
        ("gzip_without_saying.csv", gzip.compress(TEXT.encode("utf-16"))),
        ("a.tsv", TEXT.replace(",", "\t").encode()),
        ("a.tab.gz", gzip.compress(TEXT.replace(",", "\t").encode())),
        ("semicolons.csv", TEXT.replace(",", ";").encode()),
        ("tabs.csv", TEXT.replace(",", "\t").encode()),
        ("sniffed_commas.txt", TEXT.encode()),
        ("sniffed_tabs.dat", TEXT.replace(",", "\t").encode()),
        ("no_extension", TEXT.encode()),
        ("quoted.csv", b'"id","smiles"\n"A","CCO"\n"B","CCN"\n'),
        ("blanks_in_the_header.csv", b" id , SMILES \nA,CCO\nB,CCN\n"),
    ],
)
def test_same_rows_however_packed(file, name: str, content: bytes):
    (chunk,) = read(file(content, name), id_column="id")
    assert (chunk.start, chunk.values, chunk.ids, chunk.problems) == (0, ["CCO", "CCN"], ["A", "B"], {})


@pytest.mark.parametrize(
    ("name", "content", "smiles", "names"),
    [
        ("a.smi", "CCO ethanol\nCCN\tethyl amine \r\nC\n", ["CCO", "CCN", "C"], ["ethanol", "ethyl amine", None]),
        ("header.smi", "SMILES title\nCCO ethanol\n", ["CCO"], ["ethanol"]),
        ("bare_header.smi", "smiles\nCCO\n", ["CCO"], [None]),
        ("blank.smi", "CCO a\n\n  \nCCN b\n", ["CCO", "", "", "CCN"], ["a", None, None, "b"]),
        ("first_blank.smi", "\nCCN b\n", ["", "CCN"], [None, "b"]),
        ("indented.smi", "  CCO a\n", ["CCO"], ["a"]),
        ("cxsmiles.smi", "CCO |$_AV:a;;$| x\n", ["CCO"], ["|$_AV:a;;$| x"]),
        ("sniffed", "CCO ethanol\nCCN\n", ["CCO", "CCN"], ["ethanol", None]),
        ("sniffed.txt", "CCO\tethanol\nCCN\n", ["CCO", "CCN"], ["ethanol", None]),
        ("sniffed_header.txt", "smiles name\nCCO ethanol\n", ["CCO"], ["ethanol"]),
        ("a.smi.gz", gzip.compress(b"CCO ethanol\n"), ["CCO"], ["ethanol"]),
    ],
)
def test_smi(file, name: str, content: str | bytes, smiles: list, names: list):
    (chunk,) = read(file(content, name))
    assert (chunk.values, chunk.ids, chunk.problems) == (smiles, names, {})


def test_smi_names_its_columns(file):
    assert open_table(file("CCO a\n", "a.smi")).id_column == "name"
    table = open_table(file("smiles ID\nCCO a\n", "b.smi"), column="smiles", id_column="ID")
    assert (table.column, table.id_column) == ("smiles", "ID")


@pytest.mark.parametrize("name", ["smiles", "SMILES", "Canonical_Smiles", "input", "structure"])
def test_column_by_name_or_alone(file, name: str):
    table = open_table(file(f"{name}\nCCO\n"))
    assert table.column == name
    assert next(table.chunks(10)).values == ["CCO"]


def test_named_column_wins(file):
    text = "smiles,structure,Structure\nA,CCO,CCN\n"
    assert values(file(text), column="structure") == ["CCO"]
    assert values(file(text), column="Structure") == ["CCN"]
    assert values(file("smiles,structure\nA,CCO\n"), column="STRUCTURE") == ["CCO"]
    assert values(file("CCO\nCCN\n"), column="CCO") == ["CCN"]  # if one insists


def test_blank_line_in_the_middle_is_a_row(file):
    assert values(file("smiles,y\nCCO,1\n\nCCN,2\n")) == ["CCO", "", "CCN"]
    assert values(file("smiles\nCCO\n\n\nCCN\n")) == ["CCO", "", "", "CCN"]
    assert values(file("smiles\r\nCCO\r\n\r\nCCN\r\n")) == ["CCO", "", "CCN"]


def test_quoted_commas_and_newlines(file):
    text = 'name,smiles\n"2-[(R)-1,2-diol],\n(as ""free"" base)",CCO\nplain,CCN\n'
    (chunk,) = read(file(text), id_column="name")
    assert chunk.values == ["CCO", "CCN"]
    assert chunk.ids == ['2-[(R)-1,2-diol],\n(as "free" base)', "plain"]


def test_wrong_number_of_fields_is_a_problem_of_its_row(file):
    text = 'id,"smi\nles",y\nA,CCO,1\n"a\nb",CCN,2\nC,CCC,3,4,5\nD\n\nE,C,5\n'
    (chunk,) = read(file(text), column="smi\nles", id_column="id")
    assert chunk.values == ["CCO", "CCN", "CCC", None, "", "C"]
    assert chunk.ids == ["A", "a\nb", None, None, None, "E"]
    assert chunk.problems == {  # lines of the file, as an editor counts them
        2: "line 6 has 5 fields, the header has 3",
        3: "line 7 has 1 field, the header has 3",
    }


def test_megabyte_in_one_cell(file):
    big = "C" * 1_000_000
    assert values(file(f"smiles,y\nCCO,1\n{big},2\nCCN,3\n")) == ["CCO", big, "CCN"]


def test_header_only(file):
    table = open_table(file("id,smiles\n"), id_column="id")
    assert (table.column, table.id_column, list(table.chunks(5))) == ("smiles", "id", [])


@pytest.mark.parametrize("kind", ["csv", "smi", "parquet"])
def test_chunks_are_whole_and_skip_rows(tmp_path: Path, kind: str):
    expected = [f"C{i}" for i in range(4_001)]
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"smiles": expected}), path, row_group_size=333)
    else:
        path.write_text("\n".join([*(["smiles"] if kind == "csv" else []), *expected, ""]))
    chunks = list(open_table(path).chunks(1000))
    assert [len(chunk) for chunk in chunks] == [1000] * 4 + [1]
    assert [chunk.start for chunk in chunks] == list(range(0, 4_001, 1000))
    assert [value for chunk in chunks for value in chunk.values] == expected
    late = list(open_table(path).chunks(1000, skip_rows=3_500))
    assert [(chunk.start, len(chunk)) for chunk in late] == [(3_500, 501)]
    assert late[0].values == expected[3_500:]


def test_fraction_reaches_the_end(file):
    table = open_table(file("smiles\n" + "CCO\n" * 50_000))
    seen = [table.fraction for _ in table.chunks(5000)]
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.5
    assert table.fraction == 1.0


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.text("CNO")), min_size=1))
def test_whatever_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]):
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "smiles"), *rows])
    (chunk,) = read(path, id_column="id")
    assert list(zip(chunk.ids or [], chunk.values, strict=True)) == rows


# Parquet --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_text(tmp_path: Path, kind: pa.DataType):
    column = pa.array(["CCO", None, "", "CCN"], pa.string()).cast(kind)
    pq.write_table(pa.table({"id": [7, None, 8, 9], "Smiles": column}), tmp_path / "in.parquet")
    (chunk,) = read(tmp_path / "in.parquet", id_column="id")
    assert chunk.values == ["CCO", None, "", "CCN"]
    assert chunk.ids == ["7", None, "8", "9"]


@pytest.mark.parametrize("damaged", [b"benzene", b"smiles"])
def test_parquet_whose_text_is_not_utf8(tmp_path: Path, damaged: bytes):
    path = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"smiles": ["benzene"]}), path, compression="none", use_dictionary=False, store_schema=False
    )
    path.write_bytes(path.read_bytes().replace(damaged, b"\xad" + damaged[1:]))
    with pytest.raises(InputError, match="damaged"):
        read(path, column="smiles" if damaged == b"benzene" else None)


def test_parquet_is_known_by_its_bytes(tmp_path: Path):
    pq.write_table(pa.table({"smiles": ["CCO"]}), tmp_path / "in.csv")
    assert values(tmp_path / "in.csv") == ["CCO"]


# stdin ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [TEXT.encode(), gzip.compress(TEXT.encode()), b"CCO A\nCCN B\n", TEXT.encode("utf-16")]
)
def test_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))
    monkeypatch.setattr("sys.stdin", stdin)
    table = open_table("-")
    assert (table.name, table.digest(), table.fraction) == ("stdin", None, None)
    assert [value for chunk in table.chunks(1) for value in chunk.values] == ["CCO", "CCN"]
    assert not stdin.buffer.closed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_read_once(tmp_path: Path):
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(TEXT,))
    writer.start()
    table = open_table(tmp_path / "pipe")
    assert table.digest() is None
    assert [chunk.values for chunk in table.chunks(10)] == [["CCO", "CCN"]]
    writer.join()


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    """Ten times the rows must not take more memory."""
    import tracemalloc

    peaks = []
    for rows in (5_000, 50_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("smiles,y\n" + "CC(C)Cc1ccc(cc1)C(C)C(=O)O,1.234567\n" * rows)
        tracemalloc.start()
        for chunk in open_table(path).chunks(1000):
            assert chunk.values
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]

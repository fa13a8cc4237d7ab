"""What a text is, and what becomes of what is none; files of texts, row by row."""

import gzip
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv import texts
from molmv.errors import InputError
from molmv.rows import EMPTY, INVALID, OK, TRUNCATED
from molmv.table import open_table

BAD = {
    None: (EMPTY, "missing value"),
    float("nan"): (EMPTY, "missing value"),
    np.float32("nan"): (EMPTY, "missing value"),
    pd.NA: (EMPTY, "missing value"),
    "": (EMPTY, "empty text"),
    " \t\r\n\u3000": (EMPTY, "empty text"),
    "\x00\x07\u200b\ufeff": (EMPTY, "nothing but blanks and control characters"),
    7: (INVALID, "not a text but a int"),
    b"text": (INVALID, "not a text but a bytes"),
    "caf\udce9 au lait": (INVALID, "the byte 0xE9 after 3 characters is not UTF-8"),
    "a\ud83d": (INVALID, "half a surrogate pair (U+D83D) after 1 characters"),
}


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_what_is_no_text(value: object):
    rows = texts.screen(["one", value, "two"])
    assert (rows.status, rows.reason[1]) == ([OK, BAD[value][0], OK], BAD[value][1])
    assert texts.canonical(texts.parse(rows)) == ["one", "", "two"]


def test_a_megabyte():
    rows = texts.screen(["ab " * 350_000, "x" * texts.MAX_CHARACTERS])
    assert rows.status == [TRUNCATED, OK]
    assert rows.reason == ["20,000 of 1,050,000 characters were read", ""]
    assert len(rows.inputs[0]) <= texts.MAX_CHARACTERS


@given(st.lists(st.text() | st.none(), max_size=8))
def test_rows_never_shift_and_normal_texts_stay(values: list[str | None]):
    rows = texts.screen(values)
    assert len(rows) == len(values)
    for value, text, status, reason in zip(values, rows.inputs, rows.status, rows.reason, strict=True):
        assert (status == OK) == (reason == "")
        if status == OK:
            assert value is not None
            assert text == unicodedata.normalize("NFC", text).strip() != ""
            assert texts.screen([text]).inputs == [text]


def read(path: Path, **options: str) -> list:
    table = open_table(path, modality=texts.TEXT, **options)
    return [value for chunk in table.chunks(2) for value in chunk.values]


def test_one_text_a_line(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b'first, with a comma\r\n\r\nthird "quoted\nCCO ethanol')
    assert read(tmp_path / "a.txt") == ["first, with a comma", "", 'third "quoted', "CCO ethanol"]
    (tmp_path / "b").write_bytes(gzip.compress("no ending\tis lines\nsecond".encode("utf-16")))
    assert read(tmp_path / "b") == ["no ending\tis lines", "second"]
    with pytest.raises(InputError, match="has one text a line and no columns"):
        read(tmp_path / "a.txt", column="text")


def test_columns_of_texts(tmp_path: Path):
    frame = pd.DataFrame({"id": [1, 2], "Body": ["one\ntwo, three", 'a "quote"'], "stars": [5, 1]})
    for name, write in {"a.csv": frame.to_csv, "a.parquet": frame.to_parquet}.items():
        write(tmp_path / name, index=False)
        assert read(tmp_path / name) == frame["Body"].tolist()
        assert read(tmp_path / name, column="body") == frame["Body"].tolist()
        with pytest.raises(InputError, match="no column 'review'; its columns are: id, Body, stars"):
            read(tmp_path / name, column="review")
    frame.rename(columns={"id": "text"}).to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(InputError, match="'text' and 'Body' could each hold the text"):
        read(tmp_path / "two.csv")


def test_mixed_encodings_cost_their_own_row(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes("text,id\ncafé,1\n".encode() + "café,2\n".encode("latin-1") + b"tea,3\n")
    rows = texts.screen(read(tmp_path / "a.csv"))
    assert rows.status == [OK, INVALID, OK]
    assert rows.reason[1] == "the byte 0xE9 after 3 characters is not UTF-8"


def test_skeletons_of_near_duplicates():
    assert len(set(texts.skeletons(["Where's my card?", "wheres  my CARD", "Wherés my card"]))) == 1
    assert texts.skeletons(["no. 1"]) != texts.skeletons(["no. 2"])

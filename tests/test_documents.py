"""JSON of anyone: bounded in size and depth, of the shape that was asked for."""

import re
from pathlib import Path

import pytest

from molmv import documents
from molmv.documents import MAX_DEPTH, parse_json, read_json, read_json_lines, read_json_list


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_what_is_good_is_read(tmp_path: Path):
    path = tmp_path / "it.json"
    assert read_json(write(path, b'{"a": [1, {}]}')) == {"a": [1, {}]}
    assert read_json_list(write(path, b'[1, {"a": null}]')) == [1, {"a": None}]
    lines = [(b'{"a": 1}\n', {"a": 1}), (b"{}\n", {})]
    assert list(read_json_lines(write(path, b'{"a": 1}\n{}\n'))) == lines
    assert list(read_json_lines(write(path, b'{"a": 1}\n{}\n{"half'))) == lines
    deep = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read_json(write(path, deep))


BAD = {
    "cut": b'{"a": 1',
    "too deep": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "much too deep": b'{"a":' * 100_000,
    "no UTF-8": b'{"a": "\xff"}',
    "a long number": b'{"a": ' + b"1" * 5000 + b"}",
    "nothing": b"",
    "text": b'"a"',
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_bad_is_refused(what: str, tmp_path: Path):
    path = write(tmp_path / "it.json", BAD[what])
    for read in (read_json, read_json_list):
        with pytest.raises(ValueError, match=r"."):
            read(path)
    if BAD[what]:
        with pytest.raises(ValueError, match=r"."):
            list(read_json_lines(write(path, BAD[what] + b"\n")))


def test_objects_and_arrays_are_not_mixed_up(tmp_path: Path):
    path = tmp_path / "it.json"
    with pytest.raises(ValueError, match="expected a JSON object, found a list"):
        read_json(write(path, b"[]"))
    with pytest.raises(ValueError, match="expected a JSON array, found a dict"):
        read_json_list(write(path, b"{}"))
    with pytest.raises(ValueError, match="expected a JSON object"):
        list(read_json_lines(write(path, b"{}\n[]\n")))


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "MAX_BYTES", 100)
    path = write(tmp_path / "it.json", b'{"a": "' + b"x" * 100 + b'"}')
    with pytest.raises(ValueError, match="it is over"):
        read_json(path)
    with pytest.raises(ValueError, match="it is over"):
        parse_json(path.read_bytes())
    with pytest.raises(ValueError, match="it is over"):
        list(read_json_lines(path))  # a line that does not end
    assert len(list(read_json_lines(write(path, b'{"a": 1}\n' * 100)))) == 100


def test_nobody_else_parses_json():
    """One place has the bounds."""
    package = Path(documents.__file__).parent
    found = [p for p in package.rglob("*.py") if re.search(r"\bjson\.loads?\(|tomllib", p.read_text(encoding="utf-8"))]
    assert found == [Path(documents.__file__)]

"""The embedding store: what goes in comes out, a kill costs nothing that was finished, and damage is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molmv.embeddings import ENCODINGS, MANIFEST, EmbeddingStore, Header, StoreWriter, check_same_rows, decode, encode
from molmv.errors import OutputError, StoreError
from molmv.rows import INVALID, OK

DIM = 11


def header(encoding: str = "float32", **changes: Any) -> Header:
    fields = {
        "teacher": "toy",
        "digest": "0" * 64,
        "dim": DIM,
        "likelihood": "gaussian",
        "encoding": encoding,
        "corpus": "1" * 64,
        "provenance": {"licence": "MIT"},
    }
    return Header(**{**fields, **changes})


def numbers(rows: int, encoding: str = "float32", dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Vectors that the encoding holds exactly."""
    draw = np.random.default_rng(seed)
    if encoding == "bits":
        return draw.integers(0, 2, (rows, dim)).astype(np.float32)
    if encoding.startswith("uint"):
        return draw.integers(0, np.iinfo(ENCODINGS[encoding]).max, (rows, dim), endpoint=True).astype(np.float32)
    return draw.normal(scale=100, size=(rows, dim)).astype(ENCODINGS[encoding]).astype(np.float32)


def append(writer: StoreWriter, values: np.ndarray, valid: Sequence[bool] | None = None) -> None:
    """The next rows; the key of row i is 1000 + i, of a refused one 0."""
    good = [True] * len(values) if valid is None else valid
    keys = np.where(good, 1000 + writer.rows + np.arange(len(values)), 0).astype(np.uint64)
    status, reason = [OK if g else INVALID for g in good], ["" if g else "cannot parse SMILES" for g in good]
    writer.append(np.where(np.array(good, bool)[:, None], values, np.nan), keys, status, reason)


def make(path: Path, values: np.ndarray, sizes: Sequence[int], head: Header | None = None) -> Path:
    writer = StoreWriter(path, head or header())
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        append(writer, values[end - size : end])
    writer.finish()
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.suffix != ".tmp"}


def edit(path: Path, change: Any) -> None:
    """Change a manifest and leave out its hash, as stores of old have none."""
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["sha256"]
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


@settings(max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_round_trip(encoding: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    sizes = data.draw(st.lists(st.integers(0, 6), max_size=3))
    dim = data.draw(st.integers(1, 19))
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=sum(sizes), max_size=sum(sizes))), dtype=bool)
    values = numbers(sum(sizes), encoding, dim)
    writer = StoreWriter(tmp_path_factory.mktemp("store"), header(encoding, dim=dim))
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        append(writer, values[end - size : end], valid[end - size : end])
    writer.finish()
    store = EmbeddingStore(writer.path)
    assert store.header == writer.header
    np.testing.assert_array_equal(store.valid, valid)
    np.testing.assert_array_equal(store.keys, np.where(valid, 1000 + np.arange(len(valid)), 0))
    rows = data.draw(st.lists(st.integers(0, len(store) - 1), max_size=9)) if len(store) else []
    found = store.take(np.array(rows, dtype=np.int64))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.where(valid[:, None], values, 0)[rows].reshape(-1, dim))


def test_numbers_beyond_the_range_become_its_limit():
    huge = np.array([[1e6, -1e6, 65519.0, np.nan, np.inf]], dtype=np.float32)
    np.testing.assert_array_equal(decode(encode(huge, "float16"), "float16", 5), [[65504, -65504, 65504, 0, 0]])
    many = np.array([[255, 256, 1e9]], dtype=np.float32)
    np.testing.assert_array_equal(encode(many, "uint8"), [[255, 255, 255]])
    np.testing.assert_array_equal(encode(many, "uint16"), [[255, 256, 65535]])


@pytest.mark.parametrize(
    ("encoding", "value", "expected"),
    [
        ("bits", 2, "bits"),
        ("bits", 0.5, "bits"),
        ("bits", -1, "bits"),
        ("uint8", 0.5, "counts"),
        ("uint16", -1, "counts"),
    ],
)
def test_numbers_of_another_kind_are_refused(encoding: str, value: float, expected: str, tmp_path: Path):
    """A store of descriptors as bits would look like any other."""
    with pytest.raises(StoreError, match=f"'toy': Expected {expected}"):
        append(StoreWriter(tmp_path, header(encoding)), np.full((2, DIM), value, dtype=np.float32))


def test_an_unequal_number_of_rows_is_refused(tmp_path: Path):
    writer = StoreWriter(tmp_path, header())
    for values, keys, status in ((2, 3, 3), (3, 3, 2)):
        with pytest.raises(StoreError, match=r"Expected 3 rows x 11"):
            writer.append(numbers(values), np.zeros(keys, np.uint64), [OK] * status, [""] * status)
    with pytest.raises(StoreError, match=r"got vectors \(3, 12\)"):
        writer.append(numbers(3, dim=DIM + 1), np.zeros(3, np.uint64), [OK] * 3, [""] * 3)


SIZES = (4, 3, 5)


class Killed(BaseException):
    """What no code catches."""


def write_until_killed(path: Path, values: np.ndarray, renames: int, before: bool) -> None:
    """Write all, going on from what is there, but die just before or after a rename; leave half-written files."""
    done = 0
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == renames and before:
            raise Killed
        found = real(self, target)
        if done == renames:
            raise Killed
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        writer = StoreWriter(path, header())
        for start, size in zip(np.cumsum((0, *SIZES[:-1])), SIZES, strict=True):
            if writer.rows <= start:
                append(writer, values[start : start + size])
        writer.finish()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("renames", range(1, 8))
def test_killed_at_any_point_and_resumed(renames: int, before: bool, tmp_path: Path):
    values = numbers(sum(SIZES))
    whole = make(tmp_path / "whole", values, SIZES)
    path = tmp_path / "killed"
    with pytest.raises(Killed):
        write_until_killed(path, values, renames, before)
    if not (renames == 7 and not before):  # the last rename is the end
        with pytest.raises(StoreError):
            EmbeddingStore(path)
    for name in (MANIFEST, "part-00000.arrow", "part-00001.arrow", "part-00002.arrow"):
        (path / f"{name}.tmp").write_bytes(b"half a fi")
    write_until_killed(path, values, renames=-1, before=True)
    assert contents(path) == contents(whole)


FIELDS = {
    "teacher": "other",
    "digest": "2" * 64,
    "dim": DIM + 1,
    "likelihood": "student_t",
    "encoding": "float16",
    "corpus": "3" * 64,
}


@pytest.mark.parametrize("field", FIELDS)
def test_another_job_is_refused_and_its_field_named(field: str, tmp_path: Path):
    append(StoreWriter(tmp_path, header()), numbers(3))
    with pytest.raises(StoreError, match=rf"differs in {field}\."):
        StoreWriter(tmp_path, header(**{field: FIELDS[field]}))
    assert StoreWriter(tmp_path, header(provenance={"licence": "BSD"})).rows == 3


def test_a_finished_store_is_known_as_such(tmp_path: Path):
    writer = StoreWriter(make(tmp_path, numbers(3), [3]), header())
    assert (writer.complete, writer.rows) == (True, 3)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_in_a_part_names_the_part(tmp_path: Path):
    make(tmp_path, numbers(7), [4, 3])
    part = tmp_path / "part-00001.arrow"
    for position in np.linspace(0, part.stat().st_size - 1, 20).astype(int):
        flip(part, position)
        for opening in (lambda: EmbeddingStore(tmp_path), lambda: StoreWriter(tmp_path, header())):
            with pytest.raises(StoreError, match=r"part-00001\.arrow was changed"):
                opening()
        flip(part, position)
    assert len(EmbeddingStore(tmp_path)) == 7


def test_a_flipped_byte_in_the_manifest_names_the_manifest(tmp_path: Path):
    manifest = make(tmp_path, numbers(3), [3]) / MANIFEST
    for position in range(manifest.stat().st_size):
        flip(manifest, position)
        for opening in (lambda: EmbeddingStore(tmp_path), lambda: StoreWriter(tmp_path, header())):
            with pytest.raises(StoreError, match=r"manifest\.json"):
                opening()
        flip(manifest, position)
    assert len(EmbeddingStore(tmp_path)) == 3


def test_a_manifest_without_hash_is_from_an_older_version(tmp_path: Path):
    edit(make(tmp_path, numbers(3), [3]), lambda manifest: None)
    assert len(EmbeddingStore(tmp_path)) == 3


@pytest.mark.parametrize("missing", [*Header.__dataclass_fields__, "format", "complete", "parts"])
def test_a_manifest_that_lacks_something_is_refused(missing: str, tmp_path: Path):
    edit(make(tmp_path, numbers(3), [3]), lambda manifest: manifest.pop(missing))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        EmbeddingStore(tmp_path)


@pytest.mark.parametrize("name", ["../part-00000.arrow", "/etc/passwd", "..", "", "sub/part-00000.arrow"])
def test_a_part_elsewhere_is_refused(name: str, tmp_path: Path):
    path = make(tmp_path / "store", numbers(3), [3])
    (tmp_path / "part-00000.arrow").write_bytes((path / "part-00000.arrow").read_bytes())
    edit(path, lambda manifest: manifest["parts"][0].update(file=name))
    with pytest.raises(StoreError, match=r"lies outside of the store|is missing"):
        EmbeddingStore(path)


def test_rows_out_of_order_are_refused(tmp_path: Path):
    edit(make(tmp_path, numbers(7), [4, 3]), lambda manifest: manifest["parts"].reverse())
    with pytest.raises(StoreError, match="rows are not 0 … 6 in order"):
        EmbeddingStore(tmp_path)


def test_an_unknown_encoding_is_refused(tmp_path: Path):
    edit(make(tmp_path, numbers(3), [3]), lambda manifest: manifest.update(encoding="float8"))
    with pytest.raises(StoreError, match="unknown encoding 'float8'"):
        EmbeddingStore(tmp_path)


@pytest.mark.parametrize("rest", [0, 10, 700])
def test_a_truncated_part_is_refused_even_unverified(rest: int, tmp_path: Path):
    part = make(tmp_path, numbers(30), [30]) / "part-00000.arrow"
    part.write_bytes(part.read_bytes()[:rest])
    with pytest.raises(StoreError, match=r"part-00000\.arrow"):
        EmbeddingStore(tmp_path, verify=False)


def test_a_missing_part_is_named(tmp_path: Path):
    (make(tmp_path, numbers(7), [4, 3]) / "part-00001.arrow").unlink()
    with pytest.raises(StoreError, match=r"part-00001\.arrow is missing"):
        EmbeddingStore(tmp_path)


def test_an_unfinished_store_is_refused(tmp_path: Path):
    append(StoreWriter(tmp_path, header()), numbers(3))
    with pytest.raises(StoreError, match="unfinished"):
        EmbeddingStore(tmp_path)


def test_no_store(tmp_path: Path):
    (tmp_path / "file").write_text("hello")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(StoreError, match="not an embedding store"):
            EmbeddingStore(path)
    with pytest.raises(OutputError, match="Cannot make the folder"):
        StoreWriter(tmp_path / "file" / "store", header())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sizes", [[], [0]])
def test_an_empty_corpus(encoding: str, sizes: list[int], tmp_path: Path):
    store = EmbeddingStore(make(tmp_path, numbers(0, encoding), sizes, header(encoding)))
    assert len(store) == len(store.keys) == len(store.status) == 0
    assert store.take(np.array([], dtype=np.int64)).shape == (0, DIM)


@pytest.mark.parametrize("row", [-1, 7])
def test_a_row_beyond_the_end_is_named(row: int, tmp_path: Path):
    store = EmbeddingStore(make(tmp_path, numbers(7), [4, 3]))
    with pytest.raises(StoreError, match=f"has 7 rows; row {row} was asked for"):
        store.take(np.array([0, row, 3]))


def test_stores_of_other_rows_are_refused(tmp_path: Path):
    def store(name: str, keys: list[int]) -> EmbeddingStore:
        writer = StoreWriter(tmp_path / name, header())
        writer.append(numbers(len(keys)), np.array(keys, np.uint64), [OK] * len(keys), [""] * len(keys))
        writer.finish()
        return EmbeddingStore(writer.path)

    first = store("first", [5, 6, 0, 8])
    check_same_rows([first])
    check_same_rows([first, store("refused-other-rows", [5, 0, 7, 8])])
    with pytest.raises(StoreError, match=r"short has 3 rows, .*first has 4"):
        check_same_rows([first, store("short", [5, 6, 0])])
    with pytest.raises(StoreError, match=r"shuffled and .*first hold different molecules, first at row 1"):
        check_same_rows([first, store("shuffled", [5, 8, 0, 6])])


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(seed=st.integers(0, 999), columns=st.sets(st.integers(0, DIM - 1)), rows=st.integers(0, 9))
def test_constant_columns(
    encoding: str, seed: int, columns: set[int], rows: int, tmp_path_factory: pytest.TempPathFactory
):
    """Over all parts, leaving out refused rows."""
    values = numbers(rows, encoding, seed=seed)
    values[:, sorted(columns)] = 1
    valid = np.random.default_rng(seed).random(rows) < 0.8
    writer = StoreWriter(tmp_path_factory.mktemp("constant"), header(encoding))
    for piece in (slice(0, rows // 2), slice(rows // 2, rows)):
        append(writer, values[piece], valid[piece])
    writer.finish()
    good = values[valid]
    expected = [k for k in range(DIM) if len(set(good[:, k].tolist())) < 2]
    assert EmbeddingStore(writer.path).constant.tolist() == expected

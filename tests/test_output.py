"""A file job asked to write where it must not, to be strict, or to read a stream."""

import io
import os
import sys
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder, Stopping

from molmv import featurizing, formats
from molmv.errors import InputError, OutputError, RefusedRowsError
from molmv.featurizing import featurize_file
from molmv.parts import open_parts, parts_folder
from molmv.results import load_embeddings

EXTENSIONS = [".parquet", ".csv", ".npz"]
FAKE = FakeEmbedder()
WRITE = "molmv.formats.write"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """25 rows, every tenth bad: three chunks of 10."""
    smiles = ["bad" if i % 10 == 3 else "C" * (i + 1) for i in range(25)]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.parquet"


def interrupt(table: Path, out: Path, chunks: int, **options: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        featurize_file(table, out, Stopping(chunks), chunk_size=10, **options)


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"in.csv"}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_output_that_exists(table: Path, tmp_path: Path, extension: str):
    out = tmp_path / f"out{extension}"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists") as caught:
        featurize_file(table, out, FAKE)
    assert "--overwrite" in caught.value.hint
    with pytest.raises(OutputError, match="does not say what made it"):
        featurize_file(table, out, FAKE, resume=True)
    assert out.read_text() == "precious"
    assert left_over(tmp_path) == {out.name}
    featurize_file(table, out, FAKE, overwrite=True)
    assert len(load_embeddings(out)) == 25


def test_interrupted_overwrite_keeps_the_old_output(table: Path, out: Path):
    out.write_text("precious")
    interrupt(table, out, 2, overwrite=True)
    assert out.read_text() == "precious"
    featurize_file(table, out, Stopping(1), chunk_size=10, resume=True)
    assert len(load_embeddings(out)) == 25


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}], ids=["plain", "overwrite", "resume"])
@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hardlink", "link of the input"])
def test_the_output_is_never_the_input(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, options: dict
):
    before = table.read_bytes()
    path, out = table, tmp_path / "alias.csv"
    if way == "same":
        out = table
    elif way == "relative":
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        out = Path("../in.csv")
    elif way == "symlink":
        out.symlink_to(table)
    elif way == "hardlink":
        os.link(table, out)
    else:
        path, out = tmp_path / "alias.csv", table
        path.symlink_to(table)
    with pytest.raises(OutputError, match="is the input"):
        featurize_file(path, out, FAKE, **options)
    assert table.read_bytes() == before
    assert not parts_folder(out).exists()


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("out.xlsx", {}, OutputError, r"no format has the extension '\.xlsx'"),
        ("gone/out.csv", {}, OutputError, "does not exist"),
        ("folder.csv", {}, OutputError, "is a folder"),
        ("out.csv", {"resume": True, "overwrite": True}, OutputError, "Give one of them"),
        ("out.csv", {"chunk_size": 0}, InputError, "A chunk of 0 rows"),
        ("out.csv", {"id_column": "gone"}, InputError, "no column 'gone'"),
    ],
)
def test_refused_before_the_model_is_loaded(table: Path, tmp_path: Path, name, options, error, message: str):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(error, match=message):
        featurize_file(table, tmp_path / name, "no-such-model", **options)
    assert left_over(tmp_path) == {"folder.csv"}


def test_id_column_must_not_hide_another(tmp_path: Path):
    (tmp_path / "in.csv").write_text("status,smiles\nA,CCO\n")
    with pytest.raises(InputError, match="a column 'status' of its own"):
        featurize_file(tmp_path / "in.csv", tmp_path / "out.csv", FAKE, id_column="status")


@pytest.mark.parametrize(("where", "kept"), [("pyarrow.ipc.new_file", set()), (WRITE, {"out.parquet.parts"})])
def test_disk_full(table: Path, out: Path, monkeypatch: pytest.MonkeyPatch, where: str, kept: set[str]):
    """While a part is written, nothing is kept; while the output is, all parts."""

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(where, full)
    with pytest.raises(OutputError, match=r"Cannot write .*: No space left on device"):
        featurize_file(table, out, FAKE)
    assert left_over(out.parent) == kept


def test_two_writers(table: Path, out: Path):
    interrupt(table, out, 2)
    schema = formats.schema(1, None, {})
    with open_parts(out, {}, schema, False, True), pytest.raises(OutputError, match="Another run is writing"):
        featurize_file(table, out, FAKE, chunk_size=10, resume=True)


# Strict ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 9, 10, 24])
def test_strict_writes_nothing(tmp_path: Path, bad: int):
    table = tmp_path / "in.csv"
    table.write_text("\n".join(["smiles", *("bad" if i == bad else "CCO" for i in range(25)), ""]))
    with pytest.raises(RefusedRowsError, match=rf"Row {bad} is refused: cannot parse SMILES 'bad'\.") as caught:
        featurize_file(table, tmp_path / "out.csv", FAKE, chunk_size=10, strict=True)
    assert caught.value.exit_code == 3
    assert left_over(tmp_path) == set()


def test_strict_with_good_rows(tmp_path: Path):
    (tmp_path / "in.csv").write_text("smiles\nCCO\nCCN\n")
    assert featurize_file(tmp_path / "in.csv", tmp_path / "out.csv", FAKE, strict=True).counts == {"ok": 2}


# Streams --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"CCO a\nbad b\nCCN c\n"))))


def test_stdin(stdin: None, out: Path):
    featurize_file("-", out, FAKE, chunk_size=2)
    result = load_embeddings(out)
    assert (result.smiles, result.ids, result.id_column) == (["CCO", "bad", "CCN"], ["a", "b", "c"], "name")
    assert result.provenance["input"] is None


def test_stdin_cannot_be_resumed(stdin: None, out: Path):
    with pytest.raises(InputError, match="stdin cannot be resumed"):
        featurize_file("-", out, FAKE, resume=True)


def test_interrupted_stdin_leaves_nothing(stdin: None, out: Path):
    with pytest.raises(KeyboardInterrupt):
        featurize_file("-", out, Stopping(1), chunk_size=1)
    assert left_over(out.parent) == set()


def test_progress_and_summary(table: Path, out: Path):
    seen: list[tuple[int, float | None]] = []
    summary = featurize_file(table, out, FAKE, chunk_size=10, progress=lambda *at: seen.append(at))
    assert [rows for rows, _ in seen] == [0, 10, 20, 25]
    assert seen[-1][1] == 1.0
    summary = featurizing.Summary(summary.counts, summary.computed, 0.5, out)
    assert str(summary) == f"25 rows: 22 ok, 3 invalid; 0.5 s; 50 molecules/s -> {out}"

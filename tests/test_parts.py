"""A file job that is interrupted, resumed, or asked to write where it must not."""

import shutil
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder, Stopping

from molmv import formats
from molmv.errors import OutputError
from molmv.featurizing import featurize_file
from molmv.parts import parts_folder
from molmv.results import load_embeddings

EXTENSIONS = [".parquet", ".csv", ".npz"]
FAKE = FakeEmbedder()


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
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_resumed_file_is_the_uninterrupted_one(table: Path, tmp_path: Path, chunks: int, extension: str):
    out, whole = tmp_path / f"out{extension}", tmp_path / f"whole{extension}"
    featurize_file(table, whole, FAKE, id_column="id", chunk_size=10)
    interrupt(table, out, chunks, id_column="id")
    assert not out.exists()
    assert parts_folder(out).exists() == (chunks > 0)
    summary = featurize_file(table, out, Stopping(3 - chunks), id_column="id", chunk_size=10, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert summary.computed == 25 - 10 * chunks
    assert left_over(tmp_path) == {out.name, whole.name}


def test_interrupted_twice(table: Path, out: Path):
    interrupt(table, out, 1)
    interrupt(table, out, 1, resume=True)
    assert featurize_file(table, out, Stopping(1), chunk_size=10, resume=True).computed == 5


def test_stopped_while_merging(table: Path, out: Path, monkeypatch: pytest.MonkeyPatch):
    write = formats.write

    def stop_at_the_end(path: Path, *rest: object) -> None:
        if path.name == "out.parquet.tmp":
            path.write_text("half")
            raise KeyboardInterrupt
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(formats, "write", stop_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        featurize_file(table, out, FAKE, chunk_size=10)
    monkeypatch.undo()
    assert left_over(out.parent) == {"out.parquet.parts"}
    assert featurize_file(table, out, Stopping(0), chunk_size=10, resume=True).computed == 0
    assert len(load_embeddings(out)) == 25


def test_killed_between_a_part_and_its_record(table: Path, out: Path):
    """A part that the manifest does not know is made again."""
    interrupt(table, out, 2)
    shutil.copy(parts_folder(out) / "part-00000.arrow", parts_folder(out) / "part-00002.arrow")
    (parts_folder(out) / "part-00003.arrow.tmp").write_text("half")
    featurize_file(table, out, FAKE, chunk_size=10, resume=True)
    assert load_embeddings(out).smiles[20:] == ["C" * i if i != 24 else "bad" for i in range(21, 26)]
    assert left_over(out.parent) == {"out.parquet"}


def test_resume_of_nothing_begins(table: Path, out: Path):
    assert featurize_file(table, out, FAKE, resume=True).computed == 25


@pytest.mark.parametrize("extension", [".parquet", ".npz"])
def test_resume_of_a_whole_output_does_nothing(table: Path, tmp_path: Path, extension: str):
    out = tmp_path / f"out{extension}"
    first = featurize_file(table, out, FAKE, chunk_size=10)
    before = out.stat().st_mtime_ns
    again = featurize_file(table, out, Stopping(0), chunk_size=10, resume=True)
    assert (again.counts, again.computed) == (first.counts, 0)
    assert out.stat().st_mtime_ns == before
    assert left_over(tmp_path) == {out.name}
    with pytest.raises(OutputError, match=r"is of another job: options\.chunk_size \(10, now 5\) changed"):
        featurize_file(table, out, FAKE, chunk_size=5, resume=True)


def test_resume_of_a_whole_csv_cannot_be_checked(table: Path, tmp_path: Path):
    featurize_file(table, tmp_path / "out.csv", FAKE)
    with pytest.raises(OutputError, match="does not say what made it"):
        featurize_file(table, tmp_path / "out.csv", FAKE, resume=True)


# What resume refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": FakeEmbedder(digest="1" * 64)}, "digest"),
        ({"model": FakeEmbedder(name="other")}, r"model \(fake, now other\)"),
        ({"model": FakeEmbedder(provenance={"licence": "GPL"})}, r"provenance\.licence \(MIT, now GPL\)"),
        ({"chunk_size": 5}, r"options\.chunk_size \(10, now 5\)"),
        ({"id_column": "id"}, r"options\.id_column \(None, now id\)"),
        ({"column": "id"}, r"options\.column \(smiles, now id\)"),
        ({"strict": True}, r"options\.strict \(False, now True\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_resume_refuses_another_job(table: Path, out: Path, change: dict, message: str):
    interrupt(table, out, 2)
    with pytest.raises(OutputError, match=f"is of another job: {message} changed"):
        featurize_file(table, out, **{"model": FAKE, "chunk_size": 10, "resume": True, **change})
    assert parts_folder(out).exists()
    assert not out.exists()


def test_resume_refuses_another_input(table: Path, out: Path):
    interrupt(table, out, 2)
    table.write_text(table.read_text().replace("CC", "CN", 1))
    with pytest.raises(OutputError, match=r"input .*changed"):
        featurize_file(table, out, FAKE, chunk_size=10, resume=True)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("part-00001.arrow", flip),
        ("part-00001.arrow", Path.unlink),
        ("manifest.json", lambda path: path.write_text(path.read_text()[:-9])),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text('{"job": {}, "parts": 3}')),
    ],
    ids=["flipped byte", "missing part", "half a manifest", "list", "number"],
)
def test_resume_refuses_damage(table: Path, out: Path, name: str, damage):
    interrupt(table, out, 2)
    damage(parts_folder(out) / name)
    with pytest.raises(OutputError, match=rf"{name.replace('.', '[.]')} is .*damaged"):
        featurize_file(table, out, FAKE, chunk_size=10, resume=True)
    featurize_file(table, out, FAKE, chunk_size=10, overwrite=True)
    assert len(load_embeddings(out)) == 25
    assert left_over(out.parent) == {"out.parquet"}


def test_parts_are_not_dropped_unasked(table: Path, out: Path):
    interrupt(table, out, 2)
    with pytest.raises(OutputError, match=r"finished chunks .* --resume, or start over with --overwrite"):
        featurize_file(table, out, FAKE, chunk_size=10)
    assert featurize_file(table, out, Stopping(1), chunk_size=10, resume=True).computed == 5

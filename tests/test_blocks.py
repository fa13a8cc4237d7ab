"""Shards write a folder of blocks; merged it is what one run writes, or it says what is missing, doubled, changed."""

import json
import shutil
from pathlib import Path

import pytest

from molmv.blocks import find_sources
from molmv.errors import InputError, OutputError, StoreError
from molmv.featurizing import featurize_file
from molmv.featurizing_blocks import Options, featurize_blocks, merge_blocks
from molmv.journal import Journal, Shard, journal_path
from molmv.results import load_embeddings

MODEL = "rdkit-descriptors"
OPTIONS = Options(id_column="id", chunk_size=10)


def write(path: Path, rows: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    smiles = ["bad" if i % 10 == 3 else "C" * (i % 20 + 1) for i in range(rows)]
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 45 rows, and `blocks` of it by three shards; only read."""
    folder = tmp_path_factory.mktemp("blocks")
    table = write(folder / "in.csv", 45)
    for index in (3, 1, 2):
        featurize_blocks(table, folder / "blocks", MODEL, OPTIONS, Shard(index, 3))
    return folder


@pytest.fixture
def blocks(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "blocks", tmp_path / "blocks")
    return tmp_path / "blocks"


@pytest.mark.parametrize("extension", ["parquet", "csv", "npz"])
def test_merged_shards_are_what_one_run_writes(finished: Path, tmp_path: Path, extension: str):
    out, whole = tmp_path / f"out.{extension}", tmp_path / f"whole.{extension}"
    featurize_file(finished / "in.csv", whole, MODEL, id_column="id", chunk_size=10)
    summary = merge_blocks(finished / "blocks", out)
    assert summary.counts == {"ok": 40, "invalid": 5}
    assert out.read_bytes() == whole.read_bytes()


def test_names_say_what_is_in_a_block(finished: Path):
    names = sorted(path.name for path in (finished / "blocks").glob("*.parquet"))
    assert names == [f"in.csv-{number:06d}.parquet" for number in range(5)]


def test_many_files_one_after_the_other(tmp_path: Path):
    for name, rows in (("b.csv", 12), ("a.csv", 25), ("c.csv", 0)):
        write(tmp_path / "in" / name, rows)
    featurize_blocks(tmp_path / "in", tmp_path / "blocks", MODEL, OPTIONS)
    merge_blocks(tmp_path / "blocks", tmp_path / "out.parquet")
    found = load_embeddings(tmp_path / "out.parquet")
    assert found.ids == [f"M{i}" for rows in (25, 12) for i in range(rows)]
    assert [source["rows"] for source in found.provenance["input"]] == [25, 12, 0]


def test_what_is_read(tmp_path: Path):
    paths = [write(tmp_path / name, 1) for name in ("a/x.csv", "b/y.csv", "b/_z.csv", "b/z.html")]
    assert find_sources(tmp_path) == find_sources(tmp_path / "*" / "?.csv") == paths[:2]
    assert find_sources(paths[3]) == [paths[3]]
    with pytest.raises(InputError, match="no input file"):
        find_sources(tmp_path / "*.csv")
    write(tmp_path / "a" / "y.csv", 1)
    with pytest.raises(InputError, match=r"two input files are called y\.csv"):
        find_sources(tmp_path)


@pytest.mark.parametrize("sources", [1, 3, 10])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_block_is_of_one_shard(sources: int, count: int):
    shards = [Shard(index, count) for index in range(1, count + 1)]
    for source in range(sources):
        for number in range(20):
            assert sum(shard.takes(source, sources, number) for shard in shards) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/2", "1/2/3"])
def test_a_shard_that_is_none(text: str):
    with pytest.raises(InputError, match="Expected a shard like 3/8"):
        Shard.of(text)


# What is not whole ----------------------------------------------------------------------------------------------------


def merged(folder: Path) -> None:
    merge_blocks(folder, folder.parent / "out.parquet")


def test_missing_blocks_are_named(blocks: Path):
    (blocks / "in.csv-000002.parquet").unlink()
    with pytest.raises(StoreError, match=r"in\.csv-000002\.parquet is missing\."):
        merged(blocks)
    assert not (blocks.parent / "out.parquet").exists()


def test_a_missing_shard_is_named(blocks: Path):
    journal_path(blocks, Shard(2, 3)).unlink()
    with pytest.raises(StoreError, match=r"shard 2/3 is missing.*in\.csv-000001\.parquet is missing"):
        merged(blocks)


def test_foreign_blocks_are_named(blocks: Path):
    shutil.copy(blocks / "in.csv-000001.parquet", blocks / "other.csv-000001.parquet")
    with pytest.raises(StoreError, match=r"other\.csv-000001\.parquet is foreign"):
        merged(blocks)


def test_doubled_blocks_are_named(blocks: Path):
    first, second = (journal_path(blocks, Shard(index, 3)) for index in (1, 2))
    journal = Journal(first)
    journal.add(Journal(second).blocks["in.csv-000001.parquet"])
    journal.finish()
    with pytest.raises(StoreError, match=r"in\.csv-000001\.parquet is doubled"):
        merged(blocks)


def test_blocks_of_another_job_are_named(blocks: Path, finished: Path):
    journal_path(blocks, Shard(2, 3)).unlink()
    other = Options(id_column="id", chunk_size=10, dtype="float16")
    featurize_blocks(finished / "in.csv", blocks, MODEL, other, Shard(2, 3))
    with pytest.raises(StoreError, match=r"_blocks-2-of-3\.jsonl is of another job"):
        merged(blocks)


@pytest.mark.parametrize("name", ["in.csv-000003.parquet", "_blocks-1-of-3.jsonl"])
def test_a_flipped_bit_is_found(blocks: Path, name: str):
    data = bytearray((blocks / name).read_bytes())
    data[len(data) // 2] ^= 4
    (blocks / name).write_bytes(data)
    with pytest.raises(StoreError, match=rf"{name} was changed"):
        merged(blocks)


def test_a_line_that_is_gone_is_noticed(blocks: Path):
    path = journal_path(blocks, Shard(1, 3))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(StoreError, match="lines are missing or changed"):
        merged(blocks)


# Interrupted ----------------------------------------------------------------------------------------------------------


def test_resumed_after_half_a_line(blocks: Path, finished: Path):
    path = journal_path(blocks, Shard(1, 3))
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if "number" in json.loads(line))
    path.write_bytes(b"".join(lines[: at + 1]) + lines[at + 1][:20])
    with pytest.raises(StoreError, match="unfinished"):
        merged(blocks)
    with pytest.raises(OutputError, match="is there already"):
        featurize_blocks(finished / "in.csv", blocks, MODEL, OPTIONS, Shard(1, 3))
    again = Options(id_column="id", chunk_size=10, resume=True)
    assert featurize_blocks(finished / "in.csv", blocks, MODEL, again, Shard(1, 3)).computed == 10
    merged(blocks)
    assert path.read_bytes() == (finished / "blocks" / path.name).read_bytes()


def test_a_damaged_block_is_written_again(blocks: Path, finished: Path):
    (blocks / "in.csv-000003.parquet").write_bytes(b"no")
    again = Options(id_column="id", chunk_size=10, resume=True)
    assert featurize_blocks(finished / "in.csv", blocks, MODEL, again, Shard(1, 3)).computed == 10
    merged(blocks)


def test_another_input_or_job_is_refused(blocks: Path, finished: Path, tmp_path: Path):
    again = Options(id_column="id", chunk_size=10, resume=True)
    with pytest.raises(OutputError, match=r"in\.csv has changed"):
        featurize_blocks(write(tmp_path / "in.csv", 46), blocks, MODEL, again, Shard(1, 3))
    with pytest.raises(OutputError, match=r"is of another job: .*model"):
        featurize_blocks(finished / "in.csv", blocks, "maccs", again, Shard(1, 3))

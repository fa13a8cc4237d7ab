"""A disk that is full, read-only, or becomes so midway: a clear error, good chunks, and a resume that goes on."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import Disk, Rights, contents

from molmv.embed_corpus import embed_corpus
from molmv.errors import OutputError
from molmv.featurizing import featurize_file
from molmv.featurizing_blocks import Options, featurize_blocks
from molmv.parts import parts_folder
from molmv.table import open_table
from molmv.verifying import verify

ROWS, CHUNK = 120, 12
Record = Callable[[str, object], None]
Progress = Callable[[int, float | None], None]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    smiles = ["bad" if i % 17 == 3 else "C" * (i % 30 + 1) for i in range(ROWS)]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["smiles", *smiles, ""]))
    return path


def featurize(card: str, table: Path, out: Path, progress: Progress | None = None) -> None:
    featurize_file(table, out / "out.parquet", card, chunk_size=CHUNK, resume=True, progress=progress)


def teachers_embed(card: str, table: Path, out: Path, progress: Progress | None = None) -> None:
    embed_corpus(card, open_table(table), out / "store", 1, progress or (lambda rows, fraction: None))


def blocks(card: str, table: Path, out: Path, progress: Progress | None = None) -> None:
    featurize_blocks(table, out / "blocks", card, Options(chunk_size=CHUNK, resume=True), progress=progress)


JOBS = (featurize, teachers_embed, blocks)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("molmv.embed_corpus.CHUNK", CHUNK)


def resumed(
    job: Callable[..., None],
    card: str,
    table: Path,
    whole: Path,
    folder: Path,
    fault: Callable[[], object],
    mend: Callable[[], object],
    message: str,
) -> None:
    """Lets the fault happen midway, mends it, and compares with a run that nothing disturbed."""
    whole.mkdir()
    job(card, table, whole)
    happened: list[int] = []

    def happen(rows: int, fraction: float | None) -> None:
        if rows >= ROWS // 2 and not happened:
            happened.append(rows)
            fault()

    with pytest.raises(OutputError, match=rf"Cannot write .*{message}"):
        job(card, table, folder, happen)
    mend()
    for left in folder.glob("*.parts"):
        assert [finding.problem for finding in verify(left)] == [""]
    seen: list[int] = []
    job(card, table, folder, lambda rows, fraction: seen.append(rows))
    assert seen[0] >= ROWS // 2 - CHUNK  # what was finished is not done again
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize("job", JOBS)
def test_full_midway(
    job: Callable[..., None],
    disk: Disk,
    table: Path,
    tmp_path: Path,
    poison_card: Callable[..., str],
    record_property: Record,
):
    resumed(job, poison_card(), table, tmp_path / "whole", disk.path, disk.fill, disk.free, "No space left")
    record_property("faults", ["disk full", 1, 1, 0])


@pytest.mark.parametrize("job", JOBS)
def test_permission_lost_midway(
    job: Callable[..., None],
    rights: Rights,
    table: Path,
    tmp_path: Path,
    poison_card: Callable[..., str],
    record_property: Record,
):
    message = "Permission denied"
    resumed(job, poison_card(), table, tmp_path / "whole", rights.folder, rights.take, rights.give, message)
    record_property("faults", ["permission lost", 1, 1, 0])


@pytest.mark.parametrize("job", JOBS)
def test_read_only_from_the_start(
    job: Callable[..., None], disk: Disk, table: Path, poison_card: Callable[..., str], record_property: Record
):
    disk.forbid()
    with pytest.raises(OutputError, match="Read-only file system"):
        job(poison_card(), table, disk.path)
    record_property("faults", ["disk read-only", 1, 1, 0])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit of file sizes")
def test_a_file_that_may_not_grow(
    table: Path, tmp_path: Path, poison_card: Callable[..., str], record_property: Record
):
    """Stands for a quota: the parts are small enough, the output is not."""
    out = tmp_path / "out.parquet"
    featurize(poison_card(), table, tmp_path)
    whole = out.read_bytes()
    out.unlink()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 1, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            featurize(poison_card(), table, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert not out.exists()
    (finding,) = verify(parts_folder(out))
    assert (finding.problem, finding.what) == ("", f"unfinished embeddings, 10 finished chunks, {ROWS} rows")
    featurize(poison_card(), table, tmp_path)
    assert out.read_bytes() == whole
    record_property("faults", ["quota", 1, 1, 0])

"""A molecule that hangs, kills or bloats the process that embeds it costs its own row; its neighbours are unharmed."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from poison import ALONE, EXIT, HANG, MEMORY, SEGFAULT, WORKER_KILL

from molmv import supervising
from molmv.embed_corpus import embed_corpus
from molmv.embeddings import EmbeddingStore
from molmv.errors import TeacherError, UnknownNameError
from molmv.featurizing import featurize_file
from molmv.limits import Limits
from molmv.quarantine import quarantine_path
from molmv.results import load_embeddings
from molmv.table import open_table

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGSEGV")
GOOD = ["C" * (i + 1) for i in range(20)]
Card = Callable[..., str]
Record = Callable[[str, object], None]


def write(path: Path, smiles: Sequence[str]) -> Path:
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


def poisoned(*culprits: str) -> list[str]:
    smiles = list(GOOD)
    for k, text in enumerate(culprits):
        smiles[3 + 5 * k] = text
    return smiles


def listed(out: Path) -> list[tuple[int, str]]:
    with quarantine_path(out).open(newline="") as file:
        return [(int(line["row"]), line["status"]) for line in csv.DictReader(file)]


def unharmed(tmp_path: Path, card: str, smiles: Sequence[str], limits: Limits, **options: object) -> list[str]:
    """Embeds the rows with the culprits and without; the others are the same bytes. Gives the reasons."""
    out, plain = tmp_path / "out.parquet", tmp_path / "plain.parquet"
    summary = featurize_file(write(tmp_path / "in.csv", smiles), out, card, limits=limits, **options)
    featurize_file(write(tmp_path / "plain.csv", GOOD), plain, card, **options)
    found, expected = load_embeddings(out), load_embeddings(plain)
    assert summary.rows == len(found) == len(smiles)
    same = np.array([a == b for a, b in zip(smiles, GOOD, strict=True)])
    assert found.X[same].tobytes() == expected.X[same].tobytes()
    assert [status for status, good in zip(found.status, same, strict=True) if good] == ["ok"] * same.sum()
    assert found.smiles == smiles
    bad = np.flatnonzero(~same)
    assert listed(out) == [(i, found.status[i]) for i in bad]
    return [f"{found.status[i]}: {found.reason[i]}" for i in bad]


def test_a_segfault_and_an_exit(tmp_path: Path, poison_card: Card, record_property: Record):
    reasons = unharmed(tmp_path, poison_card(), poisoned(SEGFAULT, EXIT), Limits(60), id_column="id")
    assert reasons == [
        "crashed: the process that embedded it was killed by SIGSEGV",
        "crashed: the process that embedded it ended with code 3",
    ]
    record_property("faults", ["molecule that kills", 2, 2, 0])


def test_a_stall(tmp_path: Path, poison_card: Card, record_property: Record):
    assert unharmed(tmp_path, poison_card(), poisoned(HANG), Limits(4)) == ["timeout: took longer than 4 s"]
    record_property("faults", ["molecule that hangs", 1, 1, 0])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is compared with what Linux reports")
def test_hunger_for_memory(tmp_path: Path, poison_card: Card, record_property: Record):
    (reason,) = unharmed(tmp_path, poison_card(), poisoned(MEMORY), Limits(60, 1.5))
    assert reason.startswith("crashed: took ")
    assert reason.endswith("GiB of memory; 1.5 are allowed")
    record_property("faults", ["molecule that eats memory", 1, 1, 0])


@pytest.mark.slow
def test_rows_that_kill_only_together_are_embedded_apart(tmp_path: Path, poison_card: Card, record_property: Record):
    out = tmp_path / "out.parquet"
    featurize_file(write(tmp_path / "in.csv", [*GOOD[:5], ALONE, ALONE]), out, poison_card(), limits=Limits(60))
    assert load_embeddings(out).status == ["ok"] * 7
    assert not quarantine_path(out).exists()
    record_property("faults", ["molecule that kills", 1, 1, 0])


def test_a_worker_killed_from_outside_loses_nothing(tmp_path: Path, poison_card: Card, record_property: Record):
    out, seen = tmp_path / "out.parquet", tmp_path / "seen"
    card = poison_card(seen=str(seen))
    table = write(tmp_path / "in.csv", [*GOOD, WORKER_KILL])
    featurize_file(table, out, card, limits=Limits(60), workers=2, chunk_size=7)
    assert seen.exists()
    assert load_embeddings(out).status == ["ok"] * 21
    featurize_file(table, tmp_path / "again.parquet", card, chunk_size=7)
    assert out.read_bytes() == (tmp_path / "again.parquet").read_bytes()
    record_property("faults", ["worker killed", 1, 1, 0])


@pytest.mark.slow
def test_a_model_that_fails_on_everything_is_given_up(
    tmp_path: Path, poison_card: Card, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervising, "HOPELESS", 4)
    table = write(tmp_path / "in.csv", [EXIT] * 30)
    with pytest.raises(TeacherError, match=r"failed 4 times one after the other, .*ended with code 3"):
        featurize_file(table, tmp_path / "out.parquet", poison_card(), limits=Limits(60))


def test_a_model_that_cannot_be_loaded(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="no-such-model"):
        featurize_file(write(tmp_path / "in.csv", GOOD), tmp_path / "o.parquet", "no-such-model", limits=Limits(60))


def test_a_store_with_poison(tmp_path: Path, poison_card: Card, record_property: Record):
    smiles = poisoned(SEGFAULT, HANG)
    store = tmp_path / "store"
    embed_corpus(poison_card(), open_table(write(tmp_path / "in.csv", smiles)), store, limits=Limits(4))
    embed_corpus(poison_card(), open_table(write(tmp_path / "plain.csv", GOOD)), tmp_path / "plain")
    found, plain = EmbeddingStore(store), EmbeddingStore(tmp_path / "plain")
    assert [found.status[i] for i in (3, 8)] == ["crashed", "timeout"]
    assert list(found.keys[[3, 8]]) == [0, 0]
    same = np.flatnonzero(found.valid)
    assert len(same) == 18
    assert found.take(same).tobytes() == plain.take(same).tobytes()
    assert listed(store) == [(3, "crashed"), (8, "timeout")]
    record_property("faults", ["molecule that kills or hangs a teacher", 2, 2, 0])


def test_processes_end_with_the_one_that_watches_them(tmp_path: Path, poison_card: Card, record_property: Record):
    """Also when it is killed while they hang."""
    write(tmp_path / "in.csv", [HANG])
    command = [
        sys.executable,
        "-m",
        "molmv",
        "featurize",
        "in.csv",
        "-m",
        poison_card(),
        "-o",
        "o.npz",
        "--timeout",
        "9999",
    ]
    process = subprocess.Popen([*command, "--timeout", "9999"], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (workers := [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert gone
    assert not alive
    record_property("faults", ["watcher killed", 1, 1, 0])

"""Of two processes on one output one refuses; a lock that a dead process left locks nobody out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_distillation import World, make_world

from molmv.embed_corpus import embed_corpus
from molmv.errors import OutputError
from molmv.featurizing import featurize_file
from molmv.featurizing_blocks import Options, featurize_blocks
from molmv.locking import locked, locked_folder
from molmv.parts import parts_folder
from molmv.table import open_table

HOLD = """
import sys, time
from pathlib import Path
from molmv.locking import locked
with locked(Path(sys.argv[1]), Path("it")):
    print("held", flush=True)
    time.sleep(600)
"""
REFUSED = r"Another run is writing .*\. Wait for it, or choose another name\."
Record = Callable[[str, object], None]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("smiles\nCCO\nCCN\n")
    return path


def hold(file: Path) -> subprocess.Popen[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def distillation(card: str, table: Path, folder: Path) -> None:
    pytest.importorskip("lightning")
    from molmv.distill import distill

    if not (folder / "world").exists():
        make_world(folder / "world")
    world = World(folder / "world" / "corpus.csv", folder / "world" / "stores", None, {}, {})  # type: ignore[arg-type]
    distill(world.config(folder / "run", train={"steps": 2}), resume=True)


def evaluation(card: str, table: Path, folder: Path) -> None:
    pytest.importorskip("sklearn")
    import molmv

    rings = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CC1")
    rows = [f"{'C' * (i % 12 + 1)}O{ring},{i % 12}" for i in range(24) for ring in rings]
    (folder / "assay.csv").write_text("smiles,size\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    options = {"heads": ["linear"], "baselines": False, "plots": False, "output": folder / "evaluation"}
    molmv.evaluate(["rdkit-descriptors"], "strict", f"{folder / 'assay.csv'}:size", **options)


JOBS: dict[str, tuple[Callable[[str, Path, Path], object], str]] = {
    "featurize": (lambda card, table, folder: featurize_file(table, folder / "o.npz", card), "o.npz.parts/.lock"),
    "teachers embed": (lambda card, table, folder: embed_corpus(card, open_table(table), folder / "st"), "st/.lock"),
    "blocks": (lambda card, table, folder: featurize_blocks(table, folder / "b", card, Options()), "b/_lock-1-of-1"),
    "distill": (distillation, "run/.lock"),
    "evaluate": (evaluation, "evaluation/.lock"),
}


@pytest.mark.parametrize("name", JOBS)
def test_the_second_refuses_until_the_first_is_dead(
    name: str, table: Path, tmp_path: Path, poison_card: Callable[..., str], record_property: Record
):
    job, lock = JOBS[name]
    card = poison_card()
    first = hold(tmp_path / lock)
    try:
        with pytest.raises(OutputError, match=REFUSED):
            job(card, table, tmp_path)
    finally:
        first.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        first.wait()
    assert (tmp_path / lock).exists()  # nobody was left to remove it
    job(card, table, tmp_path)
    assert not (tmp_path / lock).exists()
    record_property("faults", ["two writers", 1, 1, 0])


def test_two_commands(table: Path, tmp_path: Path, poison_card: Callable[..., str]):
    command = [sys.executable, "-m", "molmv", "featurize", str(table), "-m", poison_card(seconds=3), "-o", "out.npz"]
    first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (parts_folder(tmp_path / "out.npz") / ".lock").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    _, said = first.communicate(timeout=120)
    codes = sorted([first.returncode, second.returncode])
    assert codes == [0, 2], said + second.stderr
    refusal = second.stderr if second.returncode else said
    assert "error: Another run is writing out.npz." in refusal or "out.npz exists" in refusal


def test_one_process_may_not_hold_it_twice(tmp_path: Path):
    with locked_folder(tmp_path / "new"):
        with pytest.raises(OutputError, match="Another run"), locked(tmp_path / "new" / ".lock", tmp_path / "new"):
            pass
        assert (tmp_path / "new" / ".lock").exists()
    assert not (tmp_path / "new").exists()

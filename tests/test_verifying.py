"""A flipped bit in whatever molmv reads back is found, and the file is named."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from fake_embedder import FakeEmbedder, Stopping
from tiny_distillation import World, make_world

from molmv.errors import InputError
from molmv.featurizing import featurize_file
from molmv.featurizing_blocks import Options, featurize_blocks
from molmv.parts import parts_folder
from molmv.results import load_embeddings
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.gine import make_encoder
from molmv.verifying import verify

SIZES = {"layers": 1, "width": 8, "embedding": 6}
FLIPS = 12  # a file, at random places


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def table(folder: Path) -> Path:
    path = folder / "in.csv"
    path.write_text("\n".join(["smiles", *("C" * (i % 20 + 1) for i in range(25)), ""]))
    return path


def embeddings(folder: Path, extension: str) -> Path:
    featurize_file(table(folder), folder / f"out{extension}", FakeEmbedder(), chunk_size=10)
    return folder / f"out{extension}"


def unfinished(folder: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        featurize_file(table(folder), folder / "out.npz", Stopping(2), chunk_size=10)
    return parts_folder(folder / "out.npz")


def blocks(folder: Path) -> Path:
    featurize_blocks(table(folder), folder / "blocks", "rdkit-descriptors", Options(chunk_size=10))
    return folder / "blocks"


def student(folder: Path) -> Path:
    save_checkpoint(Checkpoint("tiny", "gine", SIZES, {}, make_encoder(SIZES).state_dict()), folder / "tiny")
    return folder / "tiny"


def checkpoint(folder: Path) -> Path:
    torch.save({"weights": torch.arange(1000)}, folder / "step.ckpt")
    return folder / "step.ckpt"


def scores(folder: Path) -> Path:
    from molmv.evaluate.protocol import Score
    from molmv.evaluate.runner import _write

    _write(
        folder / "scores" / "strict-v1" / "job.csv",
        [Score("head", "random", i, "AUROC", "", 0.5, 0.1, 9, 9) for i in range(5)],
    )
    return folder / "scores"


ARTEFACTS: dict[str, Callable[[Path], Path]] = {
    "parquet": lambda folder: embeddings(folder, ".parquet"),
    "npz": lambda folder: embeddings(folder, ".npz"),
    "parts": unfinished,
    "blocks": blocks,
    "student": student,
    "checkpoint": checkpoint,
    "scores": scores,
}


def content(path: Path) -> tuple[object, ...]:
    found = load_embeddings(path)
    return found.X.tobytes(), found.smiles, found.status, found.reason, found.provenance


def members(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# Formats with fields of their own, for which there is no hash.
CONTAINERS = {"parquet": content, "npz": content, "checkpoint": members}


def flip(path: Path, place: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[place.randrange(len(data))] ^= 1 << place.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_a_flipped_bit_is_found_and_named(kind: str, tmp_path: Path, record_property: Callable[[str, object], None]):
    path = ARTEFACTS[kind](tmp_path)
    assert [finding.problem for finding in verify(path)] == [""]
    place = random.Random(kind)
    flips = 0
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    assert files
    for file in files:
        whole = file.read_bytes()
        held = CONTAINERS[kind](file) if kind in CONTAINERS else None
        for _ in range(FLIPS):
            flip(file, place)
            flips += 1
            problems = [finding.problem for finding in verify(path) if finding.problem]
            if not problems and kind in CONTAINERS:
                assert CONTAINERS[kind](file) == held  # a field that nobody reads: a date, a statistic
                file.write_bytes(whole)
                continue
            assert len(problems) == 1
            assert file.name in problems[0] or file.parent.name in problems[0]
            file.write_bytes(whole)
        file.write_bytes(whole)
    assert [finding.problem for finding in verify(path)] == [""]
    record_property("faults", ["flipped bit", flips, flips, 0])


def test_stores(world: World, tmp_path: Path):
    shutil.copytree(world.stores, tmp_path / "stores")
    assert {finding.problem for finding in verify(tmp_path / "stores")} == {""}
    place = random.Random(0)
    for file in sorted((tmp_path / "stores").rglob("*.*")):
        whole = file.read_bytes()
        flip(file, place)
        problems = [finding.problem for finding in verify(tmp_path / "stores") if finding.problem]
        assert len(problems) == 1
        assert str(file) in problems[0]
        file.write_bytes(whole)


def test_a_csv_has_no_hash_and_the_report_says_so(tmp_path: Path):
    (finding,) = verify(embeddings(tmp_path, ".csv"))
    assert (finding.problem, finding.what) == ("", "embeddings, 25 rows, no hash")


def test_nothing_to_verify(tmp_path: Path):
    with pytest.raises(InputError, match="nothing here that molmv wrote"):
        verify(tmp_path)

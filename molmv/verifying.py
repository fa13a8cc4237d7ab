"""Is what was written still what was written? Hashes, counts and order of every artefact of molmv."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from molmv import formats
from molmv.blocks import Dataset
from molmv.embeddings import MANIFEST, EmbeddingStore
from molmv.errors import InputError, MolmvError, StoreError
from molmv.parts import Parts
from molmv.results import load_embeddings
from molmv.student.checkpoint import CONFIG, load_checkpoint, read_verified
from molmv.student.heads import FORMAT, SPEC, TENSORS


@dataclass(frozen=True)
class Finding:
    """What became of one artefact.

    Attributes:
        path: of the artefact.
        what: what it is, and what was counted.
        problem: what is wrong, naming the file; empty if nothing is.
    """

    path: Path
    what: str
    problem: str = ""


def verify(path: str | Path) -> list[Finding]:
    """Check a file of embeddings, a store, a folder of them, a folder of blocks, a student, or the folder of a run.

    Raises:
        InputError: there is nothing here that molmv wrote.
    """
    path = Path(path)
    found = list(_artefacts(path))
    if not found:
        raise InputError(f"{path}: nothing here that molmv wrote.", "Give a file of embeddings or a folder of molmv.")
    return [_finding(place, what, check) for place, what, check in found]


def _finding(path: Path, what: str, check: Callable[[Path], str]) -> Finding:
    try:
        return Finding(path, f"{what}, {check(path)}")
    except MolmvError as error:
        return Finding(path, what, error.message)
    except Exception as error:  # there is no saying what a damaged file makes its reader raise
        return Finding(path, what, f"{path} is damaged: {error}.")


def _artefacts(path: Path) -> Iterator[tuple[Path, str, Callable[[Path], str]]]:
    """What is at a path and below it, how to call it, and what checks it and counts."""
    if path.is_file():
        if path.suffix in formats.EXTENSIONS:
            yield path, "embeddings", _embeddings
        elif path.suffix == ".ckpt":
            yield path, "training checkpoint", _archive
        return
    if path.name.endswith(".parts") and (path / MANIFEST).exists():
        yield path, "unfinished embeddings", _parts
    elif (path / MANIFEST).exists():
        yield path, "store", _store
    elif any(path.glob("_blocks-*.jsonl")):
        yield path, "blocks", _blocks
    elif (path / CONFIG).exists():
        yield path, "student", _student
    elif path.is_dir():
        if (path / SPEC).exists():
            yield path / SPEC, "heads", _heads
        for inside in sorted(path.iterdir()):
            if inside.is_dir() or inside.suffix == ".ckpt":
                yield from _artefacts(inside)
            elif inside.suffix == ".csv" and "scores" in path.parts:
                yield inside, "scores", _scores


def _embeddings(path: Path) -> str:
    hashed = path.suffix == ".parquet" and formats.check_parquet(path)
    rows = len(load_embeddings(path))
    weak = (
        "its checksums of pages"
        if path.suffix == ".parquet"
        else "its checksums"
        if path.suffix == ".npz"
        else "no hash"
    )
    return f"{rows:,} rows, {'its hash' if hashed else weak}"


def _store(path: Path) -> str:
    return f"{len(EmbeddingStore(path)):,} rows"


def _blocks(path: Path) -> str:
    whole = Dataset(path)
    rows = sum(block.rows for block in whole.verify())
    return f"{len(whole.blocks):,} blocks, {rows:,} rows"


def _parts(path: Path) -> str:
    parts = Parts(path)
    parts.resume()
    return f"{len(parts):,} finished chunks, {parts.rows:,} rows"


def _student(path: Path) -> str:
    return f"{len(load_checkpoint(path).weights):,} tensors"


def _heads(path: Path) -> str:
    _, tensors = read_verified(path, path.parent / TENSORS, FORMAT, "heads format")
    return f"{len(tensors):,} tensors"


def _archive(path: Path) -> str:
    with ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise StoreError(f"{path} is damaged: {damaged} has another checksum.")
        return f"{len(archive.namelist()):,} members, their checksums"


def _scores(path: Path) -> str:
    from molmv.evaluate.runner import read_scores

    return f"{len(read_scores(path)):,} scores"

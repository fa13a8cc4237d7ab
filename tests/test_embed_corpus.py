"""A corpus goes into a store: the same bytes whatever the workers and however often it was interrupted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from molmv import embed_corpus as module
from molmv.adapters import FAMILIES
from molmv.cards import TeacherCard
from molmv.embed_corpus import embed_corpus
from molmv.embeddings import EmbeddingStore
from molmv.errors import InputError, StoreError
from molmv.models import load_teacher
from molmv.rows import EMPTY, INVALID, OK
from molmv.table import open_table

CARD = """
name = "toy"
modality = "molecule"
adapter = "toys"
dim = 2
likelihood = "gaussian"
encoding = "float32"
[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""


class Toy:
    """Length of the text, and how many molecules were in the batch."""

    dim = 2

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None: ...

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), len(inputs)] for text in inputs], dtype=float)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 50)
    monkeypatch.setattr(module, "PIECE", 16)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(FAMILIES, "toys", f"{__name__}:Toy")
    (tmp_path / "toy.toml").write_text(CARD)
    return str(tmp_path / "toy.toml")


@pytest.fixture
def corpus(library: Path, tmp_path: Path) -> Path:
    """123 rows of the library, some of them bad."""
    lines = library.read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "corpus.csv"
    path.write_text("".join([*lines[:118], ",\n", *lines[118:122], "x,CC(\n"]), encoding="utf-8")
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_the_store_holds_what_the_teacher_says(corpus: Path, tmp_path: Path):
    seen: list[tuple[int, float]] = []
    rows = embed_corpus("rdkit-descriptors", open_table(corpus), tmp_path / "store", 1, lambda *now: seen.append(now))
    store = EmbeddingStore(tmp_path / "store")
    (chunk,) = open_table(corpus).chunks(1000)
    teacher = load_teacher("rdkit-descriptors")
    expected = teacher.screen(chunk.values, chunk.problems)
    vectors = teacher.embed(expected)
    assert rows == len(store) == len(chunk)
    assert store.status == expected.status
    assert {OK, EMPTY, INVALID} >= set(store.status) > {OK}
    np.testing.assert_allclose(store.take(np.arange(rows)), np.nan_to_num(vectors), rtol=1e-6)
    assert [done for done, _ in seen] == [0, 16, 32, 48, 50, 50, 66, 82, 98, 100, 100, 116, rows]
    fractions = [fraction for _, fraction in seen]
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert store.header.likelihood == "gaussian"
    assert store.header.provenance["versions"].keys() >= {"rdkit", "numpy"}


def test_two_workers_write_what_one_writes(corpus: Path, tmp_path: Path):
    for workers in (1, 2):
        embed_corpus("rdkit-descriptors", open_table(corpus), tmp_path / str(workers), workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_workers_do_not_change_the_batches(corpus: Path, tmp_path: Path, toy: str):
    """Else float32 rounding would differ with their number."""
    embed_corpus(toy, open_table(corpus), tmp_path / "store")
    sizes = EmbeddingStore(tmp_path / "store").take(np.arange(48))[:, 1]
    assert sizes.max() <= module.PIECE


@pytest.mark.parametrize(("reports", "kept"), [(1, 0), (3, 0), (7, 50), (12, 100)])
def test_resumed_is_as_uninterrupted(reports: int, kept: int, corpus: Path, tmp_path: Path, toy: str):
    """Also when stopped in the middle of a part, of which nothing is kept."""
    embed_corpus(toy, open_table(corpus), tmp_path / "whole")

    def interrupt(rows: int, fraction: float | None) -> None:
        nonlocal reports
        reports -= 1
        if reports < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_corpus(toy, open_table(corpus), tmp_path / "cut", 1, interrupt)
    with pytest.raises(StoreError, match=r"unfinished|is not an embedding store"):
        EmbeddingStore(tmp_path / "cut")
    seen: list[int] = []
    embed_corpus(toy, open_table(corpus), tmp_path / "cut", 1, lambda rows, fraction: seen.append(rows))
    assert seen[0] == kept  # what was there is not done again
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_finished_store_is_left_alone(corpus: Path, tmp_path: Path, toy: str, monkeypatch: pytest.MonkeyPatch):
    rows = embed_corpus(toy, open_table(corpus), tmp_path / "store")
    before = contents(tmp_path / "store")
    monkeypatch.setattr(Toy, "embed_batch", lambda self, inputs: pytest.fail("embedded again"))
    assert embed_corpus(toy, open_table(corpus), tmp_path / "store") == rows
    assert contents(tmp_path / "store") == before


def test_another_corpus_or_teacher_is_refused(corpus: Path, tmp_path: Path, toy: str):
    embed_corpus(toy, open_table(corpus), tmp_path / "store")
    before = contents(tmp_path / "store")
    with pytest.raises(StoreError, match=r"differs in teacher, digest, dim\b"):
        embed_corpus("rdkit-descriptors", open_table(corpus), tmp_path / "store")
    with corpus.open("a") as file:
        file.write("y,CCO\n")
    with pytest.raises(StoreError, match=r"differs in corpus\."):
        embed_corpus(toy, open_table(corpus), tmp_path / "store")
    assert contents(tmp_path / "store") == before


def test_no_rows_make_an_empty_store(tmp_path: Path, toy: str):
    (tmp_path / "none.csv").write_text("smiles\n")
    assert embed_corpus(toy, open_table(tmp_path / "none.csv"), tmp_path / "store") == 0
    assert EmbeddingStore(tmp_path / "store").take(np.array([], dtype=int)).shape == (0, 2)


def test_a_stream_is_refused(tmp_path: Path, corpus: Path, toy: str):
    """Two streams cannot be told apart: a second one would be appended to the first."""
    table = open_table(corpus)
    table.digest = lambda: None
    with pytest.raises(InputError, match="not a stream"):
        embed_corpus(toy, table, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_numbers_that_the_encoding_cannot_hold_are_refused(corpus: Path, tmp_path: Path, toy: str):
    Path(toy).write_text(CARD.replace("gaussian", "bernoulli").replace("float32", "bits"))
    with pytest.raises(StoreError, match="'toy': Expected bits"):
        embed_corpus(toy, open_table(corpus), tmp_path / "store")

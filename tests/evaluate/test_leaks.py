"""Leaks in cases built to have them."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

from molmv.errors import InputError
from molmv.evaluate import contenders, leaks
from molmv.evaluate.splits import make_split
from molmv.evaluate.tasks import make_task
from molmv.modality import of


def case():
    """Two training and four test molecules: one identical, one a salt and one a stereoisomer of a training molecule."""
    smiles = [
        "C[C@H](N)C(=O)O",
        "c1ccccc1C(=O)O",
        "OC(=O)c1ccccc1",
        "[Na+].[O-]C(=O)c1ccccc1",
        "C[C@@H](N)C(=O)O",
        "CCCCC",
    ]
    task = make_task("AMES", smiles, np.arange(6.0)[:, None], ["y"])
    return task, make_split([0, 1], [2, 3, 4, 5])


def student(corpus: str) -> FakeEmbedder:
    teachers = {"clean": {"licence": "MIT"}, "seer": {"labels_seen": ["ames", "hERG"]}}
    return FakeEmbedder(name="student", provenance={"teachers": teachers, "corpus": {"sha256": corpus}})


def test_identical_and_near_duplicates_are_told_apart():
    assert leaks.across(*case()) == (0.25, 0.75)


def test_a_student_is_flagged_for_what_its_teacher_saw():
    (line,) = contenders.gather([student("0")], baselines=())
    task, split = case()
    leak = leaks.find(line, task, split, (0, 0))
    assert leak.flagged
    assert leak.labels_seen_by == "seer"
    assert leak.in_corpus is None


def test_a_model_that_saw_nothing_is_not_flagged():
    (line,) = contenders.gather([FakeEmbedder()], baselines=())
    assert not leaks.find(line, *case(), (0, 0)).flagged


def test_minimol_is_flagged_for_the_cyp_sets():
    from molmv.cards import load_card

    assert {"CYP2D6_Veith", "Tox21"} <= set(load_card("minimol").provenance.labels_seen)


def test_test_molecules_in_the_corpus_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    path = tmp_path / "corpus.smi"
    path.write_text("OC(=O)c1ccccc1\nCC(N)C(=O)O\nCCO\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    task, split = case()
    (line,) = contenders.gather([student(digest)], baselines=())
    corpus = leaks.read_corpus(path, [line])
    leak = leaks.find(line, task, split, (0, 0), [corpus])
    assert (leak.in_corpus, leak.analogues_in_corpus) == (0.25, 0.75)
    (other,) = contenders.gather([student("f" * 64)], baselines=())
    assert leaks.find(other, task, split, (0, 0), [corpus]).in_corpus is None
    with pytest.raises(InputError, match="No model was distilled on that corpus"):
        leaks.read_corpus(path, [other])


def test_what_an_earlier_training_saw_counts(tmp_path, monkeypatch):
    """Of a student that went on: labels of its first teachers, molecules of its first corpus."""
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    first, second = tmp_path / "first.smi", tmp_path / "second.smi"
    first.write_text("OC(=O)c1ccccc1\nCC(N)C(=O)O\nCCO\n")
    second.write_text("CCO\n")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    now = {"teachers": {"clean": {"licence": "MIT"}}, "corpus": {"sha256": digests[1]}}
    went_on = FakeEmbedder(name="student", provenance={**now, "earlier": student(digests[0]).provenance})
    (line,) = contenders.gather([went_on], baselines=())
    assert line.corpora == (digests[1], digests[0])
    corpora = [leaks.read_corpus(path, [line]) for path in (first, second)]
    leak = leaks.find(line, *case(), (0, 0), corpora)
    assert leak.labels_seen_by == "seer"
    assert (leak.in_corpus, leak.analogues_in_corpus) == (0.25, 0.75)
    assert leaks.find(line, *case(), (0, 0), corpora[1:]).in_corpus is None  # one alone would understate it


def test_a_corpus_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    path = tmp_path / "corpus.smi"
    path.write_text("OC(=O)c1ccccc1\nnot one\nCCO\n")

    def read() -> leaks.Corpus:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return leaks.read_corpus(path, contenders.gather([student(digest)], baselines=()))

    first = read()
    monkeypatch.setattr(leaks, "of", lambda name: replace(of(name), parse=None))
    second = read()
    assert len(first.canonical) == 2
    np.testing.assert_array_equal(first.canonical, second.canonical)
    np.testing.assert_array_equal(first.skeletons, second.skeletons)
    path.write_text("CCO\n")
    with pytest.raises(TypeError):  # another file is another corpus
        read()

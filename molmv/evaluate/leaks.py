"""What a number may owe to: test molecules met before, labels that went into a teacher, near-duplicates across a split.

A leaderboard lost entries over this (mims-harvard/TDC#166). Nothing is hidden here: every task is scored, and flagged
ones are told apart in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from molmv import molecules
from molmv.errors import InputError
from molmv.evaluate.contenders import Contender
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import Task
from molmv.hashing import sha256
from molmv.table import open_table


@dataclass(frozen=True)
class Leak:
    """One contender on one task.

    Attributes:
        model: the contender.
        task: the task.
        labels_seen_by: teachers that saw the task's labels, with commas between; not empty = flagged.
        in_corpus: share of the test molecules in the student's distillation corpus; None where that was not looked at.
        analogues_in_corpus: the same by skeleton (salts, stereoisomers and charges ignored).
        duplicates: share of the test molecules that are in the training part too.
        near_duplicates: the same by skeleton.
    """

    model: str
    task: str
    labels_seen_by: str
    in_corpus: float | None
    analogues_in_corpus: float | None
    duplicates: float
    near_duplicates: float

    @property
    def flagged(self) -> bool:
        """Whether labels of this task went into the model."""
        return bool(self.labels_seen_by)


@dataclass(frozen=True)
class Corpus:
    """The molecules of a distillation corpus.

    Attributes:
        sha256: of the file.
        canonical: their canonical SMILES.
        skeletons: see :func:`molmv.molecules.skeletons`.
    """

    sha256: str
    canonical: frozenset[str]
    skeletons: frozenset[str]


def read_corpus(path: Path, skeletons: bool = True) -> Corpus:
    """Read a corpus of SMILES; a quarter of a million molecules take a few minutes.

    Raises:
        InputError: it cannot be read.
    """
    canonical: set[str] = set()
    for chunk in open_table(path).chunks(8192):
        rows = molecules.screen(chunk.values, chunk.problems)
        canonical.update(molecules.canonicalise(rows))
    canonical.discard("")
    flat = frozenset(molecules.skeletons(sorted(canonical))) if skeletons else frozenset()
    return Corpus(sha256(path), frozenset(canonical), flat)


def check_corpus(corpus: Corpus, contenders: Sequence[Contender]) -> None:
    """Refuse a corpus that no student at hand was distilled on: its shares would mean nothing.

    Raises:
        InputError: it is none's.
    """
    known = {c.name: c.corpus for c in contenders if c.corpus}
    if corpus.sha256 not in known.values():
        wanted = "; ".join(f"{name}: {sha}" for name, sha in known.items()) or "none of the models is a student"
        raise InputError(f"No model was distilled on that corpus (sha256 {corpus.sha256}).", f"Wanted: {wanted}.")


def across(task: Task, split: Split) -> tuple[float, float]:
    """Share of the test molecules that are in the training part too: as they are, and by skeleton."""
    exact = {task.canonical[i] for i in split.train}
    flat = set(molecules.skeletons(sorted(exact)))
    test = [task.canonical[i] for i in split.test]
    return _share(test, exact), _share(molecules.skeletons(test), flat)


def find(contender: Contender, task: Task, split: Split, shares: tuple[float, float], corpus: Corpus | None) -> Leak:
    """All that is known of one contender on one task.

    Args:
        contender: the model.
        task: the task.
        split: its first split.
        shares: from :func:`across`.
        corpus: of the distillation; used if it is the contender's.
    """
    seen = [t for t, tasks in contender.labels_seen.items() if task.name.lower() in {name.lower() for name in tasks}]
    own = corpus if corpus and corpus.sha256 == contender.corpus else None
    test = [task.canonical[i] for i in split.test]
    return Leak(
        contender.name,
        task.name,
        ", ".join(sorted(seen)),
        _share(test, own.canonical) if own else None,
        _share(molecules.skeletons(test), own.skeletons) if own and own.skeletons else None,
        *shares,
    )


def _share(these: Sequence[str], those: set[str] | frozenset[str]) -> float:
    return sum(text in those for text in these) / max(len(these), 1)

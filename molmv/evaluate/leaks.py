"""What a number may owe to: test molecules met before, labels that went into a teacher, near-duplicates across a split.

A leaderboard lost entries over this (mims-harvard/TDC#166). Nothing is hidden here: every task is scored, and flagged
ones are told apart in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from molmv.atomic import replacing
from molmv.errors import InputError
from molmv.evaluate.contenders import Contender
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import Task
from molmv.hashing import sha256
from molmv.modality import Modality, of
from molmv.npz import Npz
from molmv.rows import row_keys
from molmv.table import open_table
from molmv.weights import cache_folder


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
    """The molecules, texts, … of a distillation corpus.

    Attributes:
        sha256: of the file.
        canonical: :func:`molmv.rows.row_keys` of their canonical spellings.
        skeletons: keys of their skeletons, see :attr:`molmv.modality.Modality.skeletons`.
    """

    sha256: str
    canonical: UInt64[np.ndarray, " n"]
    skeletons: UInt64[np.ndarray, " m"]


def read_corpus(path: Path, contenders: Sequence[Contender], reads: Modality | None = None) -> Corpus:
    """Read what a student at hand was distilled on, by default SMILES.

    A quarter of a million molecules take two minutes, once: keys are kept in the cache.

    Raises:
        InputError: it cannot be read, or none was distilled on it, so that its shares would mean nothing.
    """
    reads = reads or of("molecule")
    rows = open_table(path, modality=reads)  # says what is wrong with the file
    digest = sha256(path)
    known = {c.name: c.corpora for c in contenders if c.corpora}
    if not any(digest in corpora for corpora in known.values()):
        wanted = "; ".join(f"{name}: {', '.join(shas)}" for name, shas in known.items())
        wanted = wanted or "none of the models is a student"
        raise InputError(f"No model was distilled on that corpus (sha256 {digest}).", f"Wanted: {wanted}.")
    kept = cache_folder() / "evaluate" / f"corpus-{digest[:16]}.npz"
    try:
        with Npz(kept) as found:
            return Corpus(digest, found.array("canonical"), found.array("skeletons"))
    except (OSError, ValueError):
        pass  # not there, or damaged
    canonical: set[str] = set()
    for chunk in rows.chunks(8192):
        canonical.update(reads.canonical(reads.parse(reads.screen(chunk.values, chunk.problems))))
    canonical.discard("")
    flat = set(reads.skeletons(sorted(canonical)))
    corpus = Corpus(digest, *(np.unique(row_keys(sorted(these))) for these in (canonical, flat)))
    with replacing(kept, shared=True, parents=True) as temporary, temporary.open("wb") as file:
        np.savez(file, canonical=corpus.canonical, skeletons=corpus.skeletons)
    return corpus


def across(task: Task, split: Split) -> tuple[float, float]:
    """Share of the test molecules that are in the training part too: as they are, and by skeleton."""
    train, test = ([task.canonical[i] for i in rows] for rows in (split.train, split.test))
    skeletons = of(task.modality).skeletons
    return _share(test, row_keys(train)), _share(skeletons(test), row_keys(skeletons(train)))


def find(
    contender: Contender, task: Task, split: Split, shares: tuple[float, float], corpora: Sequence[Corpus] = ()
) -> Leak:
    """All that is known of one contender on one task.

    Args:
        contender: the model.
        task: the task.
        split: its first split.
        shares: from :func:`across`.
        corpora: of distillations; the contender's are used, if those of all of its trainings are there.
    """
    seen = [t for t, tasks in contender.labels_seen.items() if task.name.lower() in {name.lower() for name in tasks}]
    own = [corpus for corpus in corpora if corpus.sha256 in contender.corpora]
    looked = bool(own) and {corpus.sha256 for corpus in own} == set(contender.corpora)
    test = [task.canonical[i] for i in split.test]
    return Leak(
        contender.name,
        task.name,
        ", ".join(sorted(seen)),
        _share(test, np.concatenate([corpus.canonical for corpus in own])) if looked else None,
        _share(of(task.modality).skeletons(test), np.concatenate([c.skeletons for c in own])) if looked else None,
        *shares,
    )


def _share(these: Sequence[str], those: UInt64[np.ndarray, " n"]) -> float:
    return float(np.isin(row_keys(these), those).mean()) if these else 0.0

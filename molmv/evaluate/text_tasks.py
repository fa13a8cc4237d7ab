"""Texts with labels, and pairs of texts with a similarity, as tasks.

A set has its official training and test part (``NAME_train.csv``, ``NAME_test.csv``; columns ``text``, ``label``), or
one file, of which a fifth is the test part: the texts whose hash says so, so that anyone who draws training texts from
the same file can leave these out. Pairs (``sentence1``, ``sentence2``, ``score``) are rows of one task, all first
sentences before all second ones, and its labels are written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from molmv import modality
from molmv.errors import InputError, UnknownNameError, did_you_mean
from molmv.evaluate import sources
from molmv.evaluate.tasks import CLASSIFICATION, Task
from molmv.rows import row_keys
from molmv.texts import normalise

SUITE, SIMILARITY = "text", "similarity"
PAIR = ("sentence1", "sentence2")


def one_line(text: str) -> str:
    """A text without line ends and repeated blanks, for a file of one text a line."""
    return normalise(" ".join(text.split()))


def held_out(texts: Sequence[str]) -> Bool[np.ndarray, " n"]:
    """The test part of a set without an official one: a fifth of its texts, by the hash of each on one line.

    Example:
        >>> held_out(["a text", "another", "a third"])
        array([False, False, False])
    """
    return row_keys([one_line(text) for text in texts]) % np.uint64(5) == 0


def load_text_task(name: str) -> Task:
    """A public set of texts by its name (in any case), or a user's file as ``reviews.csv:label``.

    Raises:
        UnknownNameError: neither a set nor a file.
        InputError: the file cannot be had or read, or has no text, no label or one class only.
    """
    known = {file.name.lower(): file.name for file in sources.files() if file.suite == SUITE}
    if real := known.get(name.lower()):
        parts = [file for file in sources.files() if (file.suite, file.name) == (SUITE, real)]
        return _public(real, parts[0].kind, [sources.find(file) for file in parts])
    address, colon, target = name.rpartition(":")
    if not colon or target.startswith("//") or "/" in target:
        hint = did_you_mean(name, known.values(), "A file is written PATH:LABEL, e.g. reviews.csv:stars.")
        raise UnknownNameError(f"No set of texts is called {name!r}.", hint)
    path = sources.user_file(address)
    texts, labels = _read(path, _text_column(path), target)
    return _classes(f"{path.name}:{target}", texts, labels, None)


def _public(name: str, kind: str, paths: Sequence[Path]) -> Task:
    if kind == SIMILARITY:
        (path,) = paths
        first, scores = _read(path, PAIR[0], "score")
        second, _ = _read(path, PAIR[1], "score")
        return _pairs(name, first, second, scores)
    tables = [_read(path, "text", "label") for path in paths]
    test = np.repeat([path.stem.endswith("_test") for path in paths], [len(texts) for texts, _ in tables])
    texts = [text for table in tables for text in table[0]]
    return _classes(name, texts, [label for table in tables for label in table[1]], test if len(paths) > 1 else None)


def _classes(name: str, texts: list[str], labels: list[str], test: np.ndarray | None) -> Task:
    """A task of the rows that hold a text; classes are numbered in the order of their names."""
    canonical, good = _good(name, texts)
    classes = sorted({labels[i] for i in good})
    if len(classes) < 2:
        raise InputError(f"{name}: the label is {classes[0]!r} for all {len(good)} texts.", "Choose another.")
    Y = np.array([[classes.index(labels[i])] for i in good], dtype=np.float64)
    part = held_out([texts[i] for i in good]) if test is None else test[good]
    if part.all() or not part.any():
        raise InputError(f"{name}: {len(good)} texts cannot be split into a training and a test part.", "Give more.")
    kept = tuple(canonical[i] for i in good)
    return Task(
        name, CLASSIFICATION, tuple(texts[i] for i in good), kept, Y, ("label",), part, len(texts) - len(good),
        modality="text",
    )  # fmt: skip


def _pairs(name: str, first: list[str], second: list[str], scores: list[str]) -> Task:
    n = len(first)
    canonical, good = _good(name, first + second)
    both = [i for i in good if i < n and i + n in set(good)]
    rows = [*both, *(i + n for i in both)]
    Y = np.array([[float(scores[i % n])] for i in rows])
    texts = first + second
    return Task(
        name, SIMILARITY, tuple(texts[i] for i in rows), tuple(canonical[i] for i in rows), Y, ("score",),
        refused=n - len(both), modality="text",
    )  # fmt: skip


def _good(name: str, texts: list[str]) -> tuple[list[str], np.ndarray]:
    reads = modality.of("text")
    rows = reads.screen(texts, None)
    canonical = reads.canonical(reads.parse(rows))
    good = np.array(rows.good, dtype=np.int64)
    if not len(good):
        raise InputError(f"{name}: none of {len(texts)} rows holds a text.", "Check the column.")
    return canonical, good


def _read(path: Path, text: str, label: str) -> tuple[list[Any], list[str]]:
    """Two columns of a csv or parquet file, as they stand."""
    frame = _frame(path)
    for column in (text, label):
        if column not in frame.columns:
            raise InputError(f"{path} has no column {column!r}.", f"Its columns: {', '.join(frame.columns)}.")
    return frame[text].tolist(), frame[label].astype(str).tolist()


def _text_column(path: Path) -> str:
    names = [str(name) for name in _frame(path).columns]
    found = [name for name in names if name.lower() in modality.of("text").columns]
    if len(found) != 1:
        raise InputError(f"{path} has {len(found) or 'no'} columns of texts.", f"Its columns: {', '.join(names)}.")
    return found[0]


def _frame(path: Path) -> Any:
    import pandas as pd

    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        separator = "\t" if {".tsv", ".tab"} & set(path.suffixes) else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}") from error

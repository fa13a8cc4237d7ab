"""Images with classes as tasks, each cut once and for all into a training and a test part.

CIFAR-10 has its own test part (of both parts there is an excerpt here). Of the others, and of a user's table, 30 % of
each class are the test part, drawn with one seed. What a student learns from must come from training parts only:
``corpora/images.py``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from molmv.errors import InputError, UnknownNameError
from molmv.evaluate import sources
from molmv.evaluate.tasks import CLASSIFICATION, Task
from molmv.images import IMAGE
from molmv.npz import Npz
from molmv.table import open_table

SUITE = "vision"
TEST_SHARE, SEED = 0.3, 0


@dataclass(frozen=True)
class ImageSet:
    """Images with a class each.

    Attributes:
        name: of the set.
        images: their pixels.
        classes: of each image.
        test: marks the test part.
    """

    name: str
    images: UInt8[np.ndarray, "n height width 3"]
    classes: Int64[np.ndarray, " n"]
    test: Bool[np.ndarray, " n"]


def read_set(name: str) -> ImageSet:
    """One of the sets of ``sets.csv``.

    Raises:
        InputError: it is not on this machine, not the one known, or not what it should be.
    """
    parts = [file for file in sources.files() if (file.suite, file.name) == (SUITE, name)]
    images, classes, official = [], [], []
    for file in parts:
        with Npz(sources.find(file)) as found:
            pixels, labels = found.array("images"), found.array("labels")
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or len(pixels) != len(labels):
            raise InputError(f"{file.file} does not hold images with labels.", "Copy it again.")
        images.append(np.repeat(pixels, 3 // pixels.shape[3], axis=3))
        classes.append(labels.astype(np.int64))
        official.append(np.full(len(labels), "test" in file.file))
    every = np.concatenate(classes)
    test = np.concatenate(official) if len(parts) > 1 else stratified(every, TEST_SHARE, SEED)
    return ImageSet(name, np.concatenate(images), every, test)


def stratified(classes: Int64[np.ndarray, " n"], share: float, seed: int) -> Bool[np.ndarray, " n"]:
    """Marks a share of the rows of every class, drawn at random; at least one, and never all of two or more."""
    draw = np.random.default_rng(seed)
    marked = np.zeros(len(classes), dtype=bool)
    for each in np.unique(classes):
        rows = draw.permutation(np.flatnonzero(classes == each))
        marked[rows[: min(max(1, round(len(rows) * share)), max(1, len(rows) - 1))]] = True
    return marked


def load_image_task(name: str) -> Task:
    """A public set by its name (in any case), or a user's table as ``photographs.csv:class``.

    Raises:
        UnknownNameError: neither a set nor a table.
        InputError: it cannot be had or read, no row of it holds an image, or all are of one class.
    """
    known = {file.name.lower(): file.name for file in sources.files() if file.suite == SUITE}
    if real := known.get(name.lower()):
        found = read_set(real)
        return _task(real, list(found.images), found.classes.tolist(), found.test)
    address, colon, column = name.rpartition(":")
    if not colon or column.startswith("//") or "/" in column:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = (
            f"Did you mean {known[near[0]]}?" if near else "A table is written PATH:CLASS, e.g. photographs.csv:class."
        )
        raise UnknownNameError(f"No set of images is called {name!r}.", hint)
    path = sources.user_file(address)
    values: list[Any] = []
    labels: list[Any] = []
    for chunk in open_table(path, id_column=column, modality=IMAGE).chunks(IMAGE.rows):
        values += chunk.values
        labels += chunk.ids or []
    return _task(f"{path.name}:{column}", values, labels, None)


def _task(name: str, values: list[Any], labels: list[Any], test: np.ndarray | None) -> Task:
    """A task of the rows that hold an image and have a class; classes are numbered in the order of their names."""
    rows = IMAGE.screen(values, {i: "no class" for i, label in enumerate(labels) if label in (None, "")})
    canonical = IMAGE.canonical(IMAGE.parse(rows))
    good = np.array(rows.good, dtype=np.int64)
    if not len(good):
        reason = f"; row 0: {rows.reason[0]}" if len(rows) else ""
        raise InputError(f"{name}: none of {len(rows)} rows holds an image{reason}.", "Check the column.")
    names = sorted({labels[i] for i in good})
    if len(names) < 2:
        raise InputError(f"{name}: the class is {names[0]!r} for all {len(good)} images.", "Choose another column.")
    classes = np.array([names.index(labels[i]) for i in good])
    return Task(
        name,
        CLASSIFICATION,
        tuple(values[i] for i in good),
        tuple(canonical[i] for i in good),
        classes[:, None].astype(np.float64),
        ("class",),
        stratified(classes, TEST_SHARE, SEED) if test is None else test[good],
        refused=len(rows) - len(good),
        modality="image",
    )

"""Public sets of small images with classes, each cut once and for all into a training and a test part.

CIFAR-10 has its own test part (of both parts there is an excerpt here). Of the others 30 % of each class are the test
part, drawn with one seed. What a student learns from must come from training parts only: ``corpora/images.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from molmv.errors import InputError
from molmv.evaluate import sources
from molmv.npz import Npz

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

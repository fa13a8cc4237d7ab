"""Whether a molecule is like those of the training part: Tanimoto similarity to the nearest one.

Similarity is of ECFP (radius 2, 2,048 bits), whatever embeds the molecules, so that it means to a chemist what it
always means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt64

from molmv.featurizing import featurize
from molmv.models import load_teacher
from molmv.results import EmbeddingResult
from molmv.teacher import Teacher

# Share of the training molecules that would be called outside, each seen from the other folds.
OUTSIDE = 0.05


def fingerprints(smiles: Sequence[str | None]) -> EmbeddingResult:
    """ECFP of each molecule; a row that is refused says why."""
    return featurize(smiles, _ecfp())


@cache
def _ecfp() -> Teacher:
    return load_teacher("ecfp")


def pack(bits: Float[np.ndarray, "n bits"]) -> UInt64[np.ndarray, "n words"]:
    """Fingerprints of zeros and ones as words of 64 bits; the number of bits is a multiple of 64."""
    return np.packbits(bits > 0, axis=1).view(np.uint64)


def nearest(
    queries: UInt64[np.ndarray, "n words"], reference: UInt64[np.ndarray, "m words"]
) -> Float64[np.ndarray, " n"]:
    """Tanimoto similarity of each query to the most similar reference; 0 if neither has a bit."""
    sizes = np.bitwise_count(reference).sum(axis=1, dtype=np.int64)
    best = np.zeros(len(queries))
    for row, query in enumerate(queries):
        both = np.bitwise_count(reference & query).sum(axis=1, dtype=np.int64)
        either = sizes + int(np.bitwise_count(query).sum()) - both
        best[row] = (both / np.maximum(either, 1)).max(initial=0.0)
    return best


@dataclass(frozen=True)
class Domain:
    """The training molecules, and how near is near.

    Attributes:
        fingerprints: of the training molecules, packed, ``(n, words)``.
        threshold: similarity from which on a molecule is inside.
    """

    fingerprints: np.ndarray
    threshold: float

    @classmethod
    def fit(cls, bits: Float[np.ndarray, "n bits"], fold: Int[np.ndarray, " n"]) -> Domain:
        """From training fingerprints.

        The threshold is the 5 % quantile of the similarity of each molecule to the nearest of *another* fold: the
        errors behind the intervals were seen at these similarities, and at lower ones hardly.
        """
        packed = pack(bits)
        similarity = np.empty(len(packed))
        for number in np.unique(fold):
            similarity[fold == number] = nearest(packed[fold == number], packed[fold != number])
        return cls(packed, float(np.quantile(similarity, OUTSIDE)))

    def __call__(self, bits: Float[np.ndarray, "n bits"]) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Similarity to the nearest training molecule, and whether that is near enough."""
        similarity = nearest(pack(bits), self.fingerprints)
        return similarity, similarity >= self.threshold

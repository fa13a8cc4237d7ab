"""Molecules with a value and their vectors, from an assay file and maybe a test file, and the cut between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64

from molmv.embedder import Embedder
from molmv.errors import InputError
from molmv.evaluate.splits import Split, make_split, random_split, scaffold_split
from molmv.featurizing import featurize
from molmv.predicting.assay import Assay
from molmv.predicting.domain import fingerprints

IN_TRAINING = "in_training"


@dataclass(frozen=True)
class Gathered:
    """Molecules that have a value, a vector and a fingerprint; those of a test file last. One entry each.

    Attributes:
        smiles: as first given.
        y: their values.
        X: of the embedder.
        bits: ECFP.
        origin: which file, and which molecule of it.
        of_test_file: whether it is from the test file.
        notes: what a user should know.
    """

    smiles: list[str]
    y: Float64[np.ndarray, " n"]
    X: Float32[np.ndarray, "n dim"]
    bits: Float32[np.ndarray, "n bits"]
    origin: list[tuple[int, int]]
    of_test_file: Bool[np.ndarray, " n"]
    notes: list[str] = field(default_factory=list)


def gather(assays: Sequence[Assay], embedder: Embedder) -> Gathered:
    """Embed all molecules. What cannot be used is refused in its assay, with a reason.

    Args:
        assays: the file to fit on, and maybe one to test on. A molecule of both is not tested on.
        embedder: see :func:`molmv.load_embedder`.

    Raises:
        InputError: no molecule is left, or none to test on.
    """
    known = set(assays[0].canonical)
    keep = [(0, i) for i in range(len(assays[0]))]
    notes = []
    for number, assay in enumerate(assays[1:], 1):
        shared = [i for i, text in enumerate(assay.canonical) if text in known]
        for i in shared:
            assay.refuse(i, IN_TRAINING, "the molecule is in the training file")
        if shared:
            notes.append(
                f"warning: {len(shared)} of the {len(assay)} molecules of {assay.name} are in {assays[0].name} too; "
                "they are not tested on"
            )
        keep += [(number, i) for i, text in enumerate(assay.canonical) if text not in known]
    smiles = [assays[a].smiles[i] for a, i in keep]
    vectors, bits = featurize(smiles, embedder), fingerprints(smiles)
    good = vectors.valid & bits.valid
    for place in np.flatnonzero(~good):
        a, i = keep[place]
        bad = bits if vectors.valid[place] else vectors
        assays[a].refuse(i, bad.status[place], bad.reason[place])
    if not good.all():
        notes.append(f"{int((~good).sum())} molecules cannot be embedded by {embedder.name}; see rows.csv")
    origin = [keep[place] for place in np.flatnonzero(good)]
    of_test_file = np.array([a > 0 for a, _ in origin], dtype=bool)
    if of_test_file.all():  # also if there are none at all
        raise InputError(f"{assays[0].name}: no molecule could be embedded.", "See why with `molmv featurize`.")
    if len(assays) > 1 and not of_test_file.any():
        raise InputError(f"No molecule of {assays[1].name} is left to test on.", f"{'; '.join(notes)}.")
    return Gathered(
        smiles=[assays[a].smiles[i] for a, i in origin],
        y=np.array([assays[a].y[i] for a, i in origin]),
        X=vectors.X[good],
        bits=bits.X[good],
        origin=origin,
        of_test_file=of_test_file,
        notes=notes,
    )


def cut(data: Gathered, kind: str, share: float, seed: int) -> Split:
    """Training and test molecules: those of the test file if there are any, else a share of all.

    Raises:
        InputError: see :func:`molmv.evaluate.splits.scaffold_split`.
    """
    if data.of_test_file.any():
        return make_split(np.flatnonzero(~data.of_test_file), np.flatnonzero(data.of_test_file))
    return scaffold_split(data.smiles, share, seed) if kind == "scaffold" else random_split(len(data.y), share, seed)

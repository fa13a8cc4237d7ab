r"""How many nats of each teacher a student's embedding holds, on rows that the student was not trained on.

Estimated is :math:`\hat I(V_k + \varepsilon; Z)`, with :math:`V_k` the first principal components of teacher k, each
of unit variance and seen through noise of :data:`NOISE` (:mod:`molmv.principal_components`). That information is a
lower bound of :math:`I(T_k; Z)`, in the same unit for every teacher. The components are those of the student's training
rows; of its held-out rows 80 % fit the densities, 10 % stop them, and the estimate is the mean over the last 10 %.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from molmv.atomic import replacing
from molmv.distill.data import Inputs, Split, embed_rows, known_vectors
from molmv.embeddings import EmbeddingStore
from molmv.information import FEWEST_ROWS, Information, estimate_information
from molmv.principal_components import PrincipalComponents

FILE = "information.json"
NOISE = 0.5
#: Training rows that the components are of.
FIT_ROWS = 8192


@dataclass(frozen=True)
class TeacherInformation:
    """What a student holds of one teacher.

    Attributes:
        information: the estimate, its interval, and how many rows it is the mean of.
        components: principal components that it is about.
        share: of the variance of the teacher's standardised vectors, how much they have.
        most: what they can hold through the noise, in nats.
        rows: held-out rows used in all.
    """

    information: Information
    components: int
    share: float
    most: float
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        own = asdict(self)
        found = own.pop("information")
        return {**found, **own, "evaluated_rows": found["rows"]}


def held_out_information(
    network: nn.Module,
    inputs: Inputs,
    stores: Mapping[str, EmbeddingStore],
    split: Split,
    *,
    rows: int = 0,
    components: int = 64,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> dict[str, TeacherInformation]:
    """Estimate for every teacher; one with fewer than 100 usable rows is left out.

    Args:
        network: the student; put into evaluation mode.
        inputs: of every row of the corpus.
        stores: of the teachers.
        split: the rows that the student was trained on, and those that it was not.
        rows: held-out rows to use, at most; 0 = all.
        components: of a teacher, at most.
        seed: of the choice of rows and of the networks.
        progress: called with the teachers done and the fraction of them.
    """
    shuffled = np.random.default_rng([seed, 3]).permutation(split.held_out)
    held_out = np.sort(shuffled[: rows or len(shuffled)])
    if len(held_out) < FEWEST_ROWS:
        return {}
    z = embed_rows(network, inputs, held_out)
    found = {}
    for done, (name, store) in enumerate(stores.items()):
        if progress:
            progress(done, done / len(stores))
        fit, _ = known_vectors(store, split.train[:FIT_ROWS])
        values, usable = known_vectors(store, held_out)
        if len(values) < FEWEST_ROWS or len(fit) < 2:
            continue
        view = PrincipalComponents(fit, store.header.likelihood, components, seed)
        estimate = estimate_information(z[usable], view.transform(values), noise=NOISE, seed=seed)
        found[name] = TeacherInformation(estimate, view.dim, view.share, view.most_nats(NOISE), len(values))
    if progress:
        progress(len(stores), 1.0)
    return found


def save_information(found: Mapping[str, TeacherInformation], folder: Path) -> None:
    """Write the report into the folder of a run, as ``information.json``."""
    with replacing(folder / FILE) as temporary:
        temporary.write_text(json.dumps(report(found), indent=1) + "\n", encoding="utf-8")


def report(found: Mapping[str, TeacherInformation]) -> dict[str, Any]:
    """What the numbers say, and the numbers of each teacher; for JSON."""
    return {"what": statement(), "noise": NOISE, "teachers": {name: one.as_dict() for name, one in found.items()}}


def statement() -> str:
    """What the numbers say, in a sentence."""
    return (
        "Estimated nats that the embedding holds of the first principal components of each teacher (of unit variance, "
        f"seen through noise of {NOISE} standard deviations), on rows held out from training. Of the whole teacher it "
        "holds at least as much (data processing). The intervals are those of a mean over the evaluated rows."
    )

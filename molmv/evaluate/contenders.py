"""What stands in a table: the models asked for, the plain baselines, and all teachers side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from molmv.embedder import Embedder
from molmv.evaluate.cache import EmbeddingCache
from molmv.models import load_embedder
from molmv.student.checkpoint import trainings

BASELINES = ("ecfp", "ecfp-count", "rdkit-descriptors")
CONCATENATION = "all-teachers"


@dataclass(frozen=True)
class Contender:
    """One line of a table.

    Attributes:
        name: of the line.
        embedders: their vectors, side by side, are its features.
        discrete: whether all of them are bits or counts.
        labels_seen: teacher -> tasks whose labels went into it, as far as is known. A student has its teachers'.
        corpora: SHA-256 of the corpus of each training of a student; none for others.
    """

    name: str
    embedders: tuple[Embedder, ...]
    discrete: bool
    labels_seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    corpora: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of everything that decides its features."""
        if len(self.embedders) == 1:
            return self.embedders[0].digest
        return hashlib.sha256("".join(e.digest for e in self.embedders).encode()).hexdigest()

    def vectors(
        self,
        canonical: Sequence[str],
        progress: Callable[[int], None] = lambda rows: None,
        inputs: Sequence[Any] | None = None,
    ) -> Float32[np.ndarray, "n dim"]:
        """Features of inputs, from the cache where they are in it; NaN in rows that one embedder refuses."""
        parts = [EmbeddingCache(embedder).vectors(canonical, progress, inputs) for embedder in self.embedders]
        if len(parts) == 1:
            return parts[0]
        X = np.concatenate(parts, axis=1)
        X[~np.isfinite(X).all(axis=1)] = np.nan
        return X


def gather(
    models: Sequence[str | Embedder], baselines: Sequence[str] = BASELINES, concatenation: bool = True
) -> list[Contender]:
    """The lines of a table.

    Args:
        models: names of teachers or students, checkpoint folders, several of these with ``+`` between for their
            vectors side by side, or embedders themselves.
        baselines: teachers to add.
        concatenation: add all teachers side by side, if a model beyond the baselines is a teacher.

    Raises:
        UnknownNameError, MissingExtraError, WeightsError, CheckpointError: see :func:`molmv.models.load_embedder`.
    """
    named = list(models) + [name for name in baselines if name not in models]
    lines = [contender(model) for model in named]
    teachers = [line for line in lines if not line.corpora and _card(line.embedders[0]) and len(line.embedders) == 1]
    if concatenation and any(line.name not in baselines for line in teachers) and len(teachers) > 1:
        lines.append(_side_by_side(CONCATENATION, teachers))
    return lines


def contender(model: str | Embedder) -> Contender:
    """One line of a table.

    Raises:
        UnknownNameError, MissingExtraError, WeightsError, CheckpointError: see :func:`molmv.models.load_embedder`.
    """
    if not isinstance(model, str):
        return _alone(model)
    if "+" in model and not Path(model).exists():
        return _side_by_side(model, [contender(part) for part in model.split("+")])
    return _alone(load_embedder(model, device="cpu"))


def _side_by_side(name: str, parts: Sequence[Contender]) -> Contender:
    seen = {teacher: tasks for part in parts for teacher, tasks in part.labels_seen.items()}
    embedders = tuple(embedder for part in parts for embedder in part.embedders)
    return Contender(name, embedders, all(part.discrete for part in parts), seen)


def _alone(embedder: Embedder) -> Contender:
    card, origin = _card(embedder), embedder.provenance
    discrete = card is not None and card.likelihood in ("bernoulli", "bernoulli_mixture", "count", "poisson")
    seen: dict[str, tuple[str, ...]] = {}
    corpora: list[str] = []
    for training in trainings(origin):
        teachers, corpus = training.get("teachers"), training.get("corpus")
        about = teachers if isinstance(teachers, dict) else {embedder.name: training}
        seen |= {name: tuple(facts["labels_seen"]) for name, facts in about.items() if facts.get("labels_seen")}
        corpora += [str(corpus["sha256"])] if isinstance(corpus, dict) and corpus.get("sha256") else []
    return Contender(Path(embedder.name).name, (embedder,), discrete, seen, tuple(dict.fromkeys(corpora)))


def _card(embedder: Embedder) -> Any:
    return getattr(embedder, "card", None)

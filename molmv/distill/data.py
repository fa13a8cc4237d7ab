"""Batches for distillation: inputs and every teacher's vectors of the same rows, straight from the stores.

Batch k is a function of the seed and k alone, so that a resumed run sees exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import lightning
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from molmv.distill.processes import Member
from molmv.embeddings import EmbeddingStore, check_same_rows
from molmv.errors import ConfigError, StoreError
from molmv.standardise import Standardiser


class Inputs(Protocol):
    """The student's inputs for every row of the corpus.

    It may have an attribute ``files``, name -> content: what its reading rests on (a vocabulary), kept with the
    student.
    """

    @property
    def usable(self) -> np.ndarray:
        """True where the row can be an input, (rows,)."""
        ...

    def batch(self, rows: np.ndarray) -> Any:
        """Some rows as tensors for the student."""
        ...


class Targets(Protocol):
    """What the teachers say of rows of the corpus."""

    def of(self, rows: np.ndarray) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Raw vectors of some rows, by teacher, and which of the rows each teacher has."""
        ...


class StoredTargets(Targets):
    """Read from the stores, batch by batch."""

    def __init__(self, stores: Mapping[str, EmbeddingStore]) -> None:
        self._stores = stores

    def of(self, rows: np.ndarray) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Raw vectors of some rows, by teacher, and which of the rows each teacher has."""
        return (
            {name: torch.from_numpy(store.take(rows)) for name, store in self._stores.items()},
            {name: torch.from_numpy(store.valid[rows]) for name, store in self._stores.items()},
        )


class Batch(NamedTuple):
    """One step's data: the inputs, and for each teacher its raw vectors and which rows it has."""

    inputs: Any
    targets: dict[str, Tensor]
    present: dict[str, Tensor]


@dataclass(frozen=True)
class Split:
    """Rows for training and rows held out, both in random order."""

    train: np.ndarray
    held_out: np.ndarray


def open_stores(folder: Path, teachers: Sequence[str]) -> dict[str, EmbeddingStore]:
    """The stores of all teachers, verified to hold the same rows.

    Raises:
        StoreError: one is missing, damaged, unfinished, or about other rows.
    """
    stores = {name: EmbeddingStore(folder / name) for name in teachers}
    check_same_rows(list(stores.values()))
    corpora = {store.header.corpus for store in stores.values()}
    if len(corpora) > 1:
        raise StoreError(f"The stores in {folder} were embedded from {len(corpora)} different corpora.")
    return stores


def split_rows(usable: np.ndarray, held_out: float, seed: int) -> Split:
    """Shuffle the usable rows and put a share aside.

    Raises:
        ConfigError: too few rows for that share.
    """
    rows = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(usable))
    count = round(len(rows) * held_out)
    if not 0 < count < len(rows):
        raise ConfigError(f"{len(rows)} rows cannot be split with held_out = {held_out}.")
    return Split(train=rows[count:], held_out=np.sort(rows[:count]))


def fit_standardiser(store: EmbeddingStore, rows: np.ndarray, mode: str, chunk: int = 8192) -> Standardiser:
    """The standardiser of one teacher, fitted on training rows only.

    Raises:
        ConfigError: the teacher has none of the rows, or says the same of all of them.
    """
    standardiser = Standardiser(store.header.dim, mode=mode)  # type: ignore[arg-type]
    known = rows[store.valid[rows]]
    # It would draw a sample of them itself; drawn here, the rest of the store need not be read.
    drawn = np.random.default_rng(0).choice(known, min(len(known), standardiser.sample_rows), replace=False)
    ordered = np.sort(drawn)
    for start in range(0, len(ordered), chunk):
        standardiser.partial_fit(torch.from_numpy(store.take(ordered[start : start + chunk])))
    try:
        return standardiser.finish()
    except ConfigError as error:
        raise ConfigError(f"Teacher {store.header.teacher!r}: {error.message}", "Leave it out.") from error


def known_vectors(store: EmbeddingStore, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """The teacher's vectors of those rows that it has, and which these are, (rows,)."""
    values = torch.from_numpy(store.take(rows))
    usable = torch.from_numpy(store.valid[rows]) & values.isfinite().all(1)
    return values[usable], usable


def embed_rows(network: nn.Module, inputs: Inputs, rows: np.ndarray, batch: int = 256) -> Float[Tensor, "rows d"]:
    """Embeddings of some rows, in the processor's memory.

    Args:
        network: the student; put into evaluation mode.
        inputs: of every row of the corpus.
        rows: which.
        batch: rows at a time.
    """
    device = next(network.parameters()).device
    network.eval()
    pieces = []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            part = inputs.batch(rows[start : start + batch])
            pieces.append(network(part if device.type == "cpu" else part.to(device)).float().cpu())
    return torch.cat(pieces)


class Batches(IterableDataset[Batch]):
    """An endless stream of training batches from step ``start`` on, or one pass over held-out rows.

    Of several processes each gets its part of every batch; there are as many batches for all.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Targets,
        rows: np.ndarray,
        batch_size: int,
        seed: int | None,
        member: Member = Member(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.inputs, self.targets, self.rows, self.member = inputs, targets, rows, member
        self.batch_size, self.seed, self.start = batch_size, seed, 0

    def __iter__(self) -> Iterator[Batch]:
        if self.seed is None:
            for start in range(0, len(self.rows), self.batch_size):
                yield self._batch(self.rows[start : start + self.batch_size])
            return
        step = self.start
        while True:
            yield self._batch(self.rows_of_step(step))
            step += 1

    def rows_of_step(self, step: int) -> np.ndarray:
        """Rows of training step ``step``: every epoch permutes anew and is cut into batches, without the rest."""
        size = min(self.batch_size, len(self.rows))
        epoch, position = divmod(step, len(self.rows) // size)
        if getattr(self, "_epoch", None) != epoch:
            self._order = np.random.default_rng([int(self.seed or 0), 2, epoch]).permutation(self.rows)
            self._epoch = epoch
        return self._order[position * size : (position + 1) * size]

    def _batch(self, whole: np.ndarray) -> Batch:
        rows = np.array_split(whole, self.member.count)[self.member.number]
        absent = not len(rows)  # fewer rows than processes: one row stands in, of which no teacher knows
        rows = whole[:1] if absent else rows
        targets, present = self.targets.of(rows)
        if absent:
            present = {name: torch.zeros_like(known) for name, known in present.items()}
        return Batch(self.inputs.batch(rows), targets, present)


class DistillData(lightning.LightningDataModule):
    """Training batches from a given step on, and held-out batches.

    Args:
        inputs: the student's inputs.
        targets: the teachers' vectors.
        split: which rows are for what.
        batch_size: rows in a batch.
        seed: of the order of the batches.
        member: which of several processes this is.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Targets,
        split: Split,
        batch_size: int,
        seed: int,
        member: Member = Member(),  # noqa: B008 (it is frozen)
    ) -> None:
        super().__init__()
        self.training = Batches(inputs, targets, split.train, batch_size, seed, member)
        self.held_out = Batches(inputs, targets, split.held_out, batch_size, None, member)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless batches, starting at ``self.training.start``."""
        return DataLoader(self.training, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """One pass over the held-out rows."""
        return DataLoader(self.held_out, batch_size=None)

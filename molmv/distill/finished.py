"""A finished run, opened again: the student with the rows that it was trained on, and those that it was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from molmv.distill.config import DistillConfig, config_of
from molmv.distill.data import Inputs, Split, open_stores, split_rows
from molmv.distill.run import STUDENT, check_corpus, usable_rows
from molmv.embeddings import EmbeddingStore
from molmv.errors import CheckpointError
from molmv.student import StudentKind
from molmv.student.checkpoint import CONFIG, load_checkpoint, restore


@dataclass(frozen=True)
class FinishedRun:
    """What a distillation was made of, and what it made.

    Attributes:
        config: its plan.
        network: the trained student.
        inputs: of every row of the corpus.
        stores: of the teachers.
        split: the same as in training.
    """

    config: DistillConfig
    network: nn.Module
    inputs: Inputs
    stores: dict[str, EmbeddingStore]
    split: Split


def open_run(folder: Path, corpus: Path | None = None, stores: Path | None = None) -> FinishedRun:
    """Open a run by its folder; the corpus is read again, and the rows are split as they were.

    Args:
        folder: the ``output`` of its config.
        corpus: where the corpus is now; as in the config if not given (from the working directory, if relative).
        stores: likewise, the folder of the stores.

    Raises:
        CheckpointError: no finished run in this folder, or a damaged student.
        InputError, StoreError: a corpus or a store that is missing, damaged, or another one.
    """
    if not (folder / STUDENT / CONFIG).exists():
        raise CheckpointError(f"{folder} holds no finished run: it has no {STUDENT}/{CONFIG}.", "Finish it first.")
    checkpoint = load_checkpoint(folder / STUDENT)
    config = config_of(checkpoint.provenance.get("config", {}), f"{folder / STUDENT / CONFIG}: config")
    kind = StudentKind(checkpoint.kind, checkpoint.config)
    try:
        network = restore(kind.make, checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / STUDENT}: weights and sizes do not fit: {error}") from error
    opened = open_stores(stores or Path(config.data.stores), config.teachers)
    path = corpus or Path(config.data.corpus)
    check_corpus(path, opened)
    inputs: Inputs = kind.read_corpus(path)
    split = split_rows(usable_rows(inputs.usable, opened, config), config.data.held_out, config.seed)
    return FinishedRun(config, network, inputs, opened, split)

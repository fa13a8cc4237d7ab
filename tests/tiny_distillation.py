"""A corpus, three stores and a config so small that a distillation takes a second or two."""

import csv
import dataclasses
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file

from molmv import molecules
from molmv.distill.config import DataConfig, DistillConfig, LossConfig, TrackingConfig, TrainConfig
from molmv.embeddings import Header, StoreWriter
from molmv.graphs import featurise
from molmv.rows import ERROR, OK, Rows, row_keys
from molmv.table import open_table

LIBRARY = Path(__file__).parent.parent / "examples" / "library.csv"
BAD = {5: "", 17: "c1ccccc", 40: "CCO name"}
DROPOUT = {"loss": {"teacher_dropout": 0.3}}
STUDENT, HEADS = "student/model.safetensors", "heads.safetensors"
SIZES = {"layers": 2, "width": 16, "embedding": 16}
# teacher -> likelihood, encoding
TEACHERS = {"real": ("gaussian", "float32"), "bits": ("bernoulli", "bits"), "counts": ("count", "uint8")}


@dataclass
class World:
    """Files of a distillation, and what is in them.

    Attributes:
        corpus: SMILES, bad rows in between.
        stores: one folder a teacher.
        rows: the corpus, screened.
        values: what each teacher says of each row.
        valid: which rows it has.
    """

    corpus: Path
    stores: Path
    rows: Rows
    values: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]

    def config(self, output: Path, **changes: Any) -> DistillConfig:
        """A config of these files; ``train={…}`` and ``loss={…}`` change single values."""
        small = {"batch_size": 16, "learning_rate": 1e-2, "device": "cpu", "precision": "32", "threads": 1}
        often = {"steps": 24, "validate_every": 6, "checkpoint_every": 8}
        plan = DistillConfig(
            name="tiny",
            output=str(output),
            teachers=tuple(TEACHERS),
            data=DataConfig(str(self.corpus), str(self.stores), held_out=0.2),
            train=TrainConfig(**small | often | changes.pop("train", {})),
            student={"kind": "gine", **SIZES},
            loss=LossConfig(**{"objective": "nll", "hidden": 16, "depth": 1} | changes.pop("loss", {})),
            tracking=TrackingConfig(mlflow=False),
        )
        return dataclasses.replace(plan, **changes)


def make_world(folder: Path, molecules_count: int = 100) -> World:
    """Write the corpus and its stores; every teacher lacks some of the rows."""
    smiles = good_smiles(molecules_count)
    for row, text in BAD.items():
        smiles.insert(row, text)
    corpus = folder / "corpus.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with corpus.open("w", newline="") as file:
        csv.writer(file).writerows([["smiles"], *([text] for text in smiles)])
    rows = molecules.screen(smiles)
    counts = features(rows)
    rng = np.random.default_rng(0)
    values = {
        "real": (counts @ rng.normal(size=(counts.shape[1], 10))).astype(np.float32),
        "bits": (counts @ rng.normal(size=(counts.shape[1], 12)) > 0).astype(np.float32),
        "counts": np.minimum(counts, 255).astype(np.float32),
    }
    valid = {name: rows.valid & (rng.random(len(rows)) > 0.15) for name in TEACHERS}
    world = World(corpus, folder / "stores", rows, values, valid)
    write_stores(world)
    return world


def write_stores(world: World, **header: Any) -> None:
    """Write all stores of a world; ``header`` changes what they say of themselves."""
    keys = row_keys(molecules.canonicalise(world.rows))
    for name, (likelihood, encoding) in TEACHERS.items():
        values, valid = world.values[name], world.valid[name]
        digest = open_table(world.corpus).digest() or ""
        about: dict[str, Any] = {"teacher": name, "digest": "0" * 64, "dim": values.shape[1], "likelihood": likelihood}
        about |= {"encoding": encoding, "corpus": digest, "provenance": {"licence": "MIT"}}
        writer = StoreWriter(world.stores / name, Header(**about | header))
        status = [OK if good else ERROR for good in valid]
        half = len(keys) // 2
        for part in (slice(0, half), slice(half, None)):
            writer.append(values[part], np.where(valid, keys, 0)[part], status[part], [""] * len(status[part]))
        writer.finish()


def good_smiles(count: int) -> list[str]:
    """The first molecules of the example library that can be read."""
    with LIBRARY.open(newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)][: 2 * count]
    rows = molecules.screen(smiles)
    featurise(rows)
    return [smiles[i] for i in rows.good][:count]


def features(rows: Rows) -> np.ndarray:
    """Numbers of atoms of some kinds, bonds and rings' atoms, (rows, 9)."""
    graphs = featurise(rows)
    counts = np.zeros((len(rows), 9))
    for i in range(len(rows)):
        atoms = graphs.atoms[graphs.atom_offsets[i] : graphs.atom_offsets[i + 1]].astype(int)
        elements = [(atoms[:, 0] == number).sum() for number in (6, 7, 8, 9, 16, 17)]
        bonds = graphs.bond_offsets[i + 1] - graphs.bond_offsets[i]
        counts[i] = *elements, bonds, atoms[:, 4].sum(), (atoms[:, 7] > 0).sum()
    return counts


def weights(output: Path) -> dict[str, torch.Tensor]:
    """All tensors of a finished run: student, heads and standardisers."""
    return {f"{file}:{name}": tensor for file in (STUDENT, HEADS) for name, tensor in load_file(output / file).items()}


def assert_same(first: Path, second: Path) -> None:
    """Two finished runs have the same weights, bit by bit."""
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


class Stopper(CSVLogger):
    """Does something at the second validation, steps after the last checkpoint."""

    def __init__(self, folder: Path, act: Callable[[], None]) -> None:
        super().__init__(folder)
        self.act = act

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "held_out/loss" in metrics and step and step >= 11:
            self.act()


def press_ctrl_c() -> None:
    """Without the signal, which may be ignored, as in the background of a shell."""
    raise KeyboardInterrupt


def terminate() -> None:
    """As a scheduler does, which tells the first process alone."""
    os.kill(os.getpid(), signal.SIGTERM)

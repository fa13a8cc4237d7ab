"""A model of four numbers a molecule, quick and the same whatever the batch; and one that is interrupted."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from molmv import molecules
from molmv.graphs import featurise
from molmv.rows import Rows


class FakeEmbedder:
    """Atoms, bonds, charge and ring atoms of each molecule."""

    name = "fake"
    dim = 4
    digest = "0" * 64

    def __init__(self, **changes: Any) -> None:
        self.provenance: dict[str, Any] = {"licence": "MIT"}
        self.__dict__.update(changes)

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        return molecules.screen(values, problems)

    def embed(self, rows: Rows) -> np.ndarray:
        graphs = featurise(rows)
        X = np.full((len(rows), 4), np.nan, dtype=np.float32)
        for i in rows.good:
            atoms = graphs.atoms[graphs.atom_offsets[i] : graphs.atom_offsets[i + 1]].astype(int)
            bonds = graphs.bond_offsets[i + 1] - graphs.bond_offsets[i]
            X[i] = len(atoms), bonds, (atoms[:, 2] - 4).sum(), (atoms[:, 7] > 0).sum()
        return X


class Stopping(FakeEmbedder):
    """Embeds some chunks, then the power goes."""

    def __init__(self, chunks: int, error: BaseException | None = None, **changes: Any) -> None:
        super().__init__(**changes)
        self.left = chunks
        self.error = error or KeyboardInterrupt()

    def embed(self, rows: Rows) -> np.ndarray:
        if not self.left:
            raise self.error
        self.left -= 1
        return super().embed(rows)

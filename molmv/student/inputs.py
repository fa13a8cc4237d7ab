"""A corpus as the molecular student's inputs: all graphs in memory, as small integers (about 200 bytes a molecule)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molmv import molecules
from molmv.graphs import Graphs, concatenate, featurise
from molmv.student.gine import GraphTensors, graph_tensors
from molmv.table import open_table

CHUNK = 8192
# Atoms in a training batch are padded to a multiple of this: a few shapes instead of as many as batches.
ATOM_MULTIPLE = 256


class MoleculeInputs:
    """Graphs of every row of a corpus; rows without a graph are not :attr:`usable`."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs

    @property
    def usable(self) -> np.ndarray:
        """True where the row has a graph, (rows,)."""
        return self.graphs.sizes > 0

    def batch(self, rows: np.ndarray) -> GraphTensors:
        """Graphs of some rows."""
        return graph_tensors(self.graphs.batch(rows), ATOM_MULTIPLE)


def read_corpus(path: Path) -> MoleculeInputs:
    """Graphs of every row of a file of SMILES.

    Raises:
        InputError: the file cannot be read.
    """
    chunks = open_table(path).chunks(CHUNK)
    return MoleculeInputs(concatenate([featurise(molecules.screen(c.values, c.problems)) for c in chunks]))

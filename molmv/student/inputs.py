"""A corpus as the molecular student's inputs: all graphs in memory, as small integers (about 200 bytes a molecule)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molmv import molecules
from molmv.graphs import Graphs, concatenate, featurise
from molmv.student.gine import EnvironmentTensors, environment_tensors, make_config
from molmv.student.resident_graphs import ResidentGraphs
from molmv.table import open_table

CHUNK = 8192
# Environments in a training batch are padded to a multiple of this: a few shapes instead of as many as batches.
MULTIPLE = 256


class MoleculeInputs:
    """Graphs of every row of a corpus; rows without a graph are not :attr:`usable`.

    Args:
        graphs: one a row.
        layers: rounds of message passing of the network that they are for.
    """

    def __init__(self, graphs: Graphs, layers: int) -> None:
        self.graphs, self.layers = graphs, layers

    @property
    def usable(self) -> np.ndarray:
        """True where the row has a graph, (rows,)."""
        return self.graphs.sizes > 0

    def batch(self, rows: np.ndarray) -> EnvironmentTensors:
        """Graphs of some rows."""
        return environment_tensors(self.graphs.take(rows), self.layers, MULTIPLE)

    def on(self, device: torch.device) -> ResidentGraphs:
        """The same on a device, which then cuts its batches itself."""
        return ResidentGraphs(self.graphs, device)


def read_corpus(path: Path, sizes: Mapping[str, Any]) -> MoleculeInputs:
    """Graphs of every row of a file of SMILES, for a student of these sizes.

    Raises:
        InputError: the file cannot be read.
        ConfigError: an unknown or impossible size.
    """
    chunks = open_table(path).chunks(CHUNK)
    return MoleculeInputs(
        concatenate([featurise(molecules.screen(c.values, c.problems)) for c in chunks]), make_config(sizes).layers
    )

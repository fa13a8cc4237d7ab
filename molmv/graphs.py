"""Molecular graphs of whole chunks of SMILES at once, as small integers.

An atom is :data:`ATOM_FIELDS` categories, a bond is one code out of :data:`NUM_BONDS`. All of them are independent
of the order in which the SMILES writes its atoms: chirality is the CIP label, not the winding of the string.
The C++ featuriser (cuik_molmaker) builds them; :func:`featurise_rdkit` builds the same ones in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int16, Int64, UInt8

from molmv.molecules import MAX_ATOMS, diagnose, parse, quiet
from molmv.rows import ERROR, TOO_LARGE, Rows

# name -> number of categories
ATOM_FIELDS = {
    "atomic_number": 119,
    "degree": 9,  # neighbours, hydrogens included
    "charge": 9,  # -4 … +4
    "hybridisation": 9,
    "aromatic": 2,
    "chirality": 3,  # none, R, S
    "radicals": 4,
    "ring_size": 9,  # 0 = not in a ring of 3 … 8
}
BOND_FIELDS = {"order": 5, "conjugated": 2, "in_ring": 2, "stereo": 6}
NUM_BONDS = int(np.prod(list(BOND_FIELDS.values())))
_ORDERS = (1.0, 2.0, 3.0, 1.5)  # anything else is "other"

# Molecules for one call of the C++ featuriser: large enough to hide the call, small enough that parsing one
# again because of a bad row costs little.
_PIECE = 256
# Its atom features "in-ring", "min-ring" and "num-ring" crash the process on a SMILES that does not parse, these not.
_CUIK_ATOM = ["atomic-number", "degree", "formal-charge", "hybridization", "aromatic", "chirality", "radical-electron"]
_CUIK_SCALE = np.array([5, 1, 1, 1, 1, 1, 1], dtype=np.float32)  # it gives a fifth of the atomic number
_CUIK_BOND = ["bond-type-float", "conjugated", "in-ring", "stereo"]


@dataclass(frozen=True)
class Graphs:
    """The graphs of ``n`` rows, concatenated; a refused row is a graph without atoms.

    Attributes:
        atoms: categories of each atom, columns as in :data:`ATOM_FIELDS`.
        atom_offsets: atoms of row i are ``atoms[atom_offsets[i]:atom_offsets[i + 1]]``.
        bonds: the two ends of each bond, counted from the first atom of its row; each bond once.
        bond_codes: category of each bond, see :func:`bond_fields`.
        bond_offsets: as ``atom_offsets``.
    """

    atoms: UInt8[np.ndarray, "atoms fields"]
    atom_offsets: Int64[np.ndarray, " n+1"]
    bonds: Int16[np.ndarray, "bonds 2"]
    bond_codes: UInt8[np.ndarray, " bonds"]
    bond_offsets: Int64[np.ndarray, " n+1"]

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1

    @property
    def sizes(self) -> Int64[np.ndarray, " n"]:
        """Atoms of each row."""
        return np.diff(self.atom_offsets)

    def take(self, rows: Int[np.ndarray, " b"]) -> Graphs:
        """The graphs of some rows. Rows may repeat, in any order."""
        atoms, atom_sizes = _ranges(self.atom_offsets, rows)
        bonds, bond_sizes = _ranges(self.bond_offsets, rows)
        atom_offsets, bond_offsets = (np.r_[0, np.cumsum(sizes)] for sizes in (atom_sizes, bond_sizes))
        return Graphs(self.atoms[atoms], atom_offsets, self.bonds[bonds], self.bond_codes[bonds], bond_offsets)

    def batch(self, rows: Int[np.ndarray, " b"]) -> GraphBatch:
        """The disjoint union of some rows' graphs, ready for a network. Rows may repeat, in any order."""
        atom_index, atom_sizes = _ranges(self.atom_offsets, rows)
        bond_index, bond_sizes = _ranges(self.bond_offsets, rows)
        first_atom = np.repeat(np.cumsum(atom_sizes) - atom_sizes, bond_sizes)
        ends = self.bonds[bond_index].astype(np.int64) + first_atom[:, None]
        return GraphBatch(
            atoms=self.atoms[atom_index],
            source=np.concatenate([ends[:, 0], ends[:, 1]]),
            target=np.concatenate([ends[:, 1], ends[:, 0]]),
            bond_codes=np.tile(self.bond_codes[bond_index], 2),
            graph=np.repeat(np.arange(len(rows)), atom_sizes),
            num_graphs=len(rows),
        )


@dataclass(frozen=True)
class GraphBatch:
    """Disjoint union of graphs; every bond appears in both directions.

    Attributes:
        atoms: as in :class:`Graphs`.
        source, target: directed edges between atoms of this batch.
        bond_codes: category of each directed edge.
        graph: the graph that each atom belongs to, ascending.
        num_graphs: graphs in the batch, those without atoms included.
    """

    atoms: UInt8[np.ndarray, "atoms fields"]
    source: Int64[np.ndarray, " edges"]
    target: Int64[np.ndarray, " edges"]
    bond_codes: UInt8[np.ndarray, " edges"]
    graph: Int64[np.ndarray, " atoms"]
    num_graphs: int


def _ranges(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``offsets[r] … offsets[r + 1]`` for every r in rows, concatenated; and the length of each."""
    starts, sizes = offsets[rows], offsets[np.asarray(rows) + 1] - offsets[rows]
    shift = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return np.arange(sizes.sum()) + shift, sizes


def featurise(rows: Rows) -> Graphs:
    """Graphs of all rows; rows that cannot be read are refused in place and become empty graphs.

    Args:
        rows: changed in place: rows without a graph get a status and a reason.
    """
    if _featuriser() is None:
        return featurise_rdkit(rows)
    good = rows.good
    pieces = [good[start : start + _PIECE] for start in range(0, len(good), _PIECE)]
    graphs = concatenate([_featurise_piece(rows, piece) for piece in pieces])
    if len(good) == len(rows):
        return graphs
    return Graphs(
        graphs.atoms,
        _offsets(len(rows), good, graphs.sizes),
        graphs.bonds,
        graphs.bond_codes,
        _offsets(len(rows), good, np.diff(graphs.bond_offsets)),
    )


@cache
def _featuriser() -> Any:
    """The C++ featuriser, None where it is not installed.

    Its extension is opened without its package, whose other files import pandas and SciPy's distributions: a second
    or more, for what nobody here calls.
    """
    package = find_spec("cuik_molmaker")
    if package is None or package.origin is None:
        return None
    name = "cuik_molmaker_cpp"
    files = list(Path(package.origin).parent.glob(f"{name}.cpython-*.so"))
    if not files:  # on Windows the package must first say where RDKit's libraries are
        return import_module("cuik_molmaker")
    loader = ExtensionFileLoader(name, str(files[0]))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(files[0])))
    loader.exec_module(module)
    return module


def _featurise_piece(rows: Rows, piece: Sequence[int]) -> Graphs:
    """Graphs of some rows by the C++ featuriser.

    It skips a SMILES that does not parse, and gives up the whole batch on one that does not sanitise: the
    first are found by their missing atoms, the second by parsing the (small) batch again in Python.
    """
    smiles = [rows.inputs[i] for i in piece]
    try:
        graphs = _cuik(smiles)
    except RuntimeError:
        suspects = Rows(smiles, [rows.status[i] for i in piece], [""] * len(piece))
        parse(suspects)
        for i, status, reason in zip(piece, suspects.status, suspects.reason, strict=True):
            if reason:
                rows.refuse(i, status, reason)
        graphs = _cuik(suspects.inputs)
    for i, size in zip(piece, graphs.sizes, strict=True):
        if size == 0 and rows.inputs[i]:
            rows.refuse(i, *(diagnose(rows.inputs[i]) or (ERROR, "the featuriser gave no atoms")))
        elif size > MAX_ATOMS:
            rows.refuse(i, TOO_LARGE, f"{size:,} atoms; over {MAX_ATOMS:,} is refused")
    if graphs.sizes.max(initial=0) > MAX_ATOMS:
        return _cuik([rows.inputs[i] for i in piece])
    return graphs


def _cuik(smiles: list[str]) -> Graphs:
    """The C++ featuriser's answer, an empty graph for a SMILES that it skipped or that is ``""``."""
    cuik = _featuriser()
    with quiet():
        atom, bond, ends, _, owner = cuik.batch_mol_featurizer(
            smiles,
            cuik.atom_onehot_feature_names_to_array(["ring-size"]),
            cuik.atom_float_feature_names_to_array(_CUIK_ATOM),
            cuik.bond_feature_names_to_array(_CUIK_BOND),
            False,  # explicit hydrogens
            False,  # offset carbon
            False,  # both directions of a bond
            False,  # self loops
        )
    ring, values = atom[:, :6], np.rint(atom[:, 6:] * _CUIK_SCALE).astype(np.int64)
    values[:, 5] = 2 - values[:, 5]  # S, R, none -> none, R, S
    values = np.column_stack([values, np.where(ring.any(1), ring.argmax(1) + 3, 0)])
    codes = _bond_codes(bond[:, 0], bond[:, 1].astype(int), bond[:, 2].astype(int), bond[:, 3:].argmax(1))
    sizes = np.bincount(owner, minlength=len(smiles))
    bond_owner = owner[ends[0]]
    ends = ends - (np.cumsum(sizes) - sizes)[bond_owner]
    return _assemble(values, sizes, ends.T, codes, np.bincount(bond_owner, minlength=len(smiles)))


def featurise_rdkit(rows: Rows) -> Graphs:
    """The same graphs as :func:`featurise`, built with RDKit alone: slower, and the reference for the tests."""
    atoms: list[list[int]] = []
    ends: list[tuple[int, int]] = []
    bonds: list[tuple[float, int, int, int]] = []
    sizes = np.zeros(len(rows), dtype=np.int64)
    bond_sizes = np.zeros(len(rows), dtype=np.int64)
    for row, mol in enumerate(parse(rows)):
        if mol is None:
            continue
        rings = mol.GetRingInfo()
        atoms += [_atom_fields(atom, rings) for atom in mol.GetAtoms()]
        for bond in mol.GetBonds():
            ends.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            stereo = int(bond.GetStereo())
            bonds.append((bond.GetBondTypeAsDouble(), bond.GetIsConjugated(), bond.IsInRing(), stereo))
        sizes[row], bond_sizes[row] = mol.GetNumAtoms(), mol.GetNumBonds()
    order, conjugated, ring, stereo_codes = np.array(bonds, dtype=float).reshape(-1, 4).T
    codes = _bond_codes(order, conjugated.astype(int), ring.astype(int), stereo_codes.astype(int))
    pairs = np.array(ends, dtype=np.int64).reshape(-1, 2)
    return _assemble(np.array(atoms).reshape(-1, len(ATOM_FIELDS)), sizes, pairs, codes, bond_sizes)


def _atom_fields(atom: Any, rings: Any) -> list[int]:
    label = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
    size = rings.MinAtomRingSize(atom.GetIdx())
    return [
        atom.GetAtomicNum(),
        atom.GetTotalDegree(),
        atom.GetFormalCharge(),
        int(atom.GetHybridization()),
        int(atom.GetIsAromatic()),
        {"R": 1, "S": 2}.get(label, 0),
        atom.GetNumRadicalElectrons(),
        size if 3 <= size <= 8 else 0,
    ]


def _bond_codes(order: np.ndarray, conjugated: np.ndarray, in_ring: np.ndarray, stereo: np.ndarray) -> np.ndarray:
    kind = np.full(len(order), len(_ORDERS))
    for code, value in enumerate(_ORDERS):
        kind[order == value] = code
    stereo = np.minimum(stereo, BOND_FIELDS["stereo"] - 1)
    return ((kind * 2 + conjugated) * 2 + in_ring) * BOND_FIELDS["stereo"] + stereo


def bond_fields() -> UInt8[np.ndarray, "codes fields"]:
    """The categories (columns as in :data:`BOND_FIELDS`) that each bond code stands for."""
    grid = np.indices(tuple(BOND_FIELDS.values())).reshape(len(BOND_FIELDS), -1)
    return grid.T.astype(np.uint8)


def _assemble(
    atoms: np.ndarray, sizes: np.ndarray, ends: np.ndarray, codes: np.ndarray, bond_sizes: np.ndarray
) -> Graphs:
    """Small integers, every category clipped to its range."""
    atoms = atoms + np.array([0, 0, ATOM_FIELDS["charge"] // 2, 0, 0, 0, 0, 0])
    limits = np.array(list(ATOM_FIELDS.values())) - 1
    everyone = range(len(sizes))
    return Graphs(
        np.clip(atoms, 0, limits).astype(np.uint8),
        _offsets(len(sizes), everyone, sizes),
        ends.astype(np.int16).reshape(-1, 2),
        codes.astype(np.uint8),
        _offsets(len(sizes), everyone, bond_sizes),
    )


def _offsets(n: int, rows: Sequence[int], sizes: np.ndarray) -> np.ndarray:
    """Offsets of n rows, of which only ``rows`` have a size."""
    counts = np.zeros(n + 1, dtype=np.int64)
    counts[np.asarray(rows, dtype=np.int64) + 1] = sizes
    return np.cumsum(counts)


def concatenate(parts: Sequence[Graphs]) -> Graphs:
    """One :class:`Graphs` with the rows of all parts, in order."""
    if not parts:
        return _assemble(*(np.zeros(shape, np.int64) for shape in ((0, len(ATOM_FIELDS)), 0, (0, 2), 0, 0)))

    def join(offsets: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([[0], *(np.diff(o) for o in offsets)]).cumsum()

    return Graphs(
        np.concatenate([p.atoms for p in parts]),
        join([p.atom_offsets for p in parts]),
        np.concatenate([p.bonds for p in parts]),
        np.concatenate([p.bond_codes for p in parts]),
        join([p.bond_offsets for p in parts]),
    )

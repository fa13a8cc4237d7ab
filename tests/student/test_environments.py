"""Environments against a refinement with tuples: the same partition of atoms, the same messages."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv import molecules
from molmv.graphs import Graphs, featurise
from molmv.student.environments import find_environments

SMILES = [
    "",
    "C",
    "CC",
    "[Na+].[Cl-]",
    "CC(=O)Oc1ccccc1C(=O)O",
    "COc1ccccc1",
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "C1CCCCC1",
    "C1CC1.C1CC1",
    "F/C=C/F",
    "bad",
    "CCCCCCCCCCCC",
]


def names(graphs: Graphs, start: int, stop: int, radius: int) -> list[list[tuple]]:
    """The environment of each atom spelled out, radius by radius."""
    atoms, neighbours = [], []
    for row in range(start, stop):
        first = len(atoms)
        atoms += [tuple(a) for a in graphs.atoms[graphs.atom_offsets[row] : graphs.atom_offsets[row + 1]].tolist()]
        neighbours += [[] for _ in range(len(atoms) - first)]
        for bond in range(graphs.bond_offsets[row], graphs.bond_offsets[row + 1]):
            a, b = (first + int(end) for end in graphs.bonds[bond])
            neighbours[a].append((b, int(graphs.bond_codes[bond])))
            neighbours[b].append((a, int(graphs.bond_codes[bond])))
    found = [atoms]
    for _ in range(radius):
        last = found[-1]
        found.append([(last[i], *sorted((last[j], code) for j, code in n)) for i, n in enumerate(neighbours)])
    return found


def unfolded(graphs: Graphs, start: int, stop: int, radius: int) -> list[tuple]:
    """The last environment of each atom, spelled out from what was found."""
    found = find_environments(graphs, start, stop, radius)
    last: list[tuple] = [tuple(atom) for atom in found.atoms.tolist()]
    assert len(set(last)) == len(last)
    for turn in found.rounds:
        sent = [(last[source], int(bond)) for source, bond in zip(turn.source, turn.bond, strict=True)]
        assert len(set(sent)) == len(sent)
        parts = [turn.messages[a:b] for a, b in pairwise(turn.offsets)]
        last = [(last[c], *sorted(sent[m] for m in p)) for c, p in zip(turn.centre, parts, strict=True)]
        assert len(set(last)) == len(last)
    return [last[i] for i in found.final]


@given(chosen=st.lists(st.sampled_from(SMILES), max_size=8), data=st.data(), radius=st.integers(0, 4))
def test_environments_are_those_spelled_out(chosen: list[str], data: st.DataObject, radius: int):
    graphs = featurise(molecules.screen(chosen))
    start = data.draw(st.integers(0, len(chosen)))
    stop = data.draw(st.integers(start, len(chosen)))
    assert unfolded(graphs, start, stop, radius) == names(graphs, start, stop, radius)[-1]


def test_more_atoms_than_sixteen_bits_count():
    graphs = featurise(molecules.screen(["C" * 900 + "O"] * 75))
    found = find_environments(graphs, 0, 75, 2)
    assert len(found.final) == 75 * 901 > 1 << 16
    np.testing.assert_array_equal(found.final.reshape(75, -1), np.tile(found.final[:901], (75, 1)))
    assert [len(turn.centre) for turn in found.rounds] == [4, 6]  # one or two atoms from either end, and the middle


@pytest.mark.parametrize(("smiles", "counts"), [("C1CCCCC1", [1, 1]), ("CCCCCC", [2, 3]), ("c1ccccc1C", [3, 4])])
def test_symmetric_atoms_are_one(smiles: str, counts: list[int]):
    found = find_environments(featurise(molecules.screen([smiles])), 0, 1, 2)
    assert [len(turn.centre) for turn in found.rounds] == counts

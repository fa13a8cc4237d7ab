"""The graphs against RDKit's own matrices, and against the molecules one by one."""

import csv
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from molmv.adapters.pretrain_gnn_features import SELF_LOOP, Graph, featurise

SMILES = ("C", "CC#N", "C/C=C/C", "N[C@@H](C)C(=O)O", "c1ccsc1", "[Na+].[Cl-]", "O.O")
REFUSED = ("*C", "[NH3]->[Cu+2]", "C[Pt@SP1](F)(Cl)Br", "C(", "")


def test_hand_made() -> None:
    """Cl/C=C/F: elements less 1; bonds single up, double, single up (as RDKit reads it), there and back; self loops."""
    graph, rows = featurise(["Cl/C=C/F"])
    assert rows == [0]
    assert graph.atoms.tolist() == [[16, 0], [5, 0], [5, 0], [8, 0]]
    assert graph.ends.T.tolist() == [
        *([0, 1], [1, 2], [2, 3]),
        *([1, 0], [2, 1], [3, 2]),
        *([0, 0], [1, 1], [2, 2], [3, 3]),
    ]
    assert graph.bonds.tolist() == [*[[0, 1], [1, 0], [0, 1]] * 2, *[[SELF_LOOP, 0]] * 4]
    assert graph.sizes.tolist() == [4]


def test_the_two_chiralities_have_rows_of_their_own() -> None:
    graph, _ = featurise(["N[C@@H](C)O", "N[C@H](C)O"])
    assert graph.atoms[:, 1].tolist() == [0, 1, 0, 0, 0, 2, 0, 0]


def matrix(graph: Graph) -> np.ndarray:
    """Bond types, counted from 1; 0 where there is no bond."""
    found = np.zeros([len(graph.atoms)] * 2, dtype=int)
    found[*graph.ends] = graph.bonds[:, 0] + 1
    return found


def test_real_molecules_have_rdkits_bonds(library: Path) -> None:
    with library.open(newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)][:200]
    graph, rows = featurise(smiles)
    found, start = matrix(graph), 0
    assert graph.ends.shape[1] == (found > 0).sum()  # no edge twice, none between molecules is left out below
    for row, size in zip(rows, graph.sizes, strict=True):
        orders = Chem.GetAdjacencyMatrix(Chem.MolFromSmiles(smiles[row]), useBO=True)
        here = slice(start, start := start + size)
        expected = np.select([orders == 1, orders == 2, orders == 3, orders == 1.5], [1, 2, 3, 4])
        np.testing.assert_array_equal(found[here, here], expected + (SELF_LOOP + 1) * np.eye(size, dtype=int))
        found[here, here] = 0
    assert start == len(graph.atoms)
    assert not found.any()


@given(st.lists(st.sampled_from(SMILES + REFUSED), max_size=6))
def test_a_batch_is_its_molecules_side_by_side(smiles: list[str]) -> None:
    graph, rows = featurise(smiles)
    assert rows == [row for row, text in enumerate(smiles) if text in SMILES]
    alone = [featurise([smiles[row]])[0] for row in rows]
    assert graph.sizes.tolist() == [len(one.atoms) for one in alone]
    expected, start = np.zeros([len(graph.atoms)] * 2, dtype=int), 0
    for one in alone:
        here = slice(start, start := start + len(one.atoms))
        np.testing.assert_array_equal(graph.atoms[here], one.atoms)
        expected[here, here] = matrix(one)
    np.testing.assert_array_equal(matrix(graph), expected)

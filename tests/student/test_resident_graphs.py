"""Graphs on a device are those that are read; here the device is the CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molmv.graphs import featurise
from molmv.molecules import screen
from molmv.student.gine import _RowsOfSmallTable, graph_tensors, make_encoder
from molmv.student.inputs import MoleculeInputs

SMILES = ["CCO", "not a molecule", "C", "c1ccccc1C(=O)O", "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "CC/C=C/C"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs() -> MoleculeInputs:
    return MoleculeInputs(featurise(screen(SMILES)), 2)


@given(rows=st.lists(st.integers(0, len(SMILES) - 1), min_size=1, max_size=20))
@settings(max_examples=50)
def test_batches_are_those_of_the_graphs(rows: list[int]):
    graphs = featurise(screen(SMILES))
    found = MoleculeInputs(graphs, 2).on(CPU).batch(np.array(rows))
    expected = graph_tensors(graphs.batch(np.array(rows)))
    assert found.num_graphs == len(rows)
    for name in ("atoms", "graph", "target"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    edges = [
        sorted(zip(one.target.tolist(), one.source.tolist(), one.bond_codes.tolist(), strict=True))
        for one in (found, expected)
    ]
    assert edges[0] == edges[1]


def test_a_network_says_the_same_of_both(inputs: MoleculeInputs):
    network = make_encoder({"layers": 2, "width": 16, "embedding": 8})
    rows = np.array([3, 5, 3, 0, 6, 4])
    torch.testing.assert_close(network(inputs.on(CPU).batch(rows)), network(inputs.batch(rows)))


def test_the_same_rows_are_usable(inputs: MoleculeInputs):
    np.testing.assert_array_equal(inputs.on(CPU).usable, inputs.usable)


def test_gradient_of_rows_of_a_small_table():
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    numbers = torch.tensor([0, 3, 3, 4])
    assert torch.autograd.gradcheck(lambda t: _RowsOfSmallTable.apply(t, numbers), table)

"""The C++ graphs are the RDKit graphs; batches are unions; refused rows are empty; nothing crashes."""

import csv
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from molmv import molecules
from molmv.graphs import ATOM_FIELDS, BOND_FIELDS, NUM_BONDS, Graphs, bond_fields, concatenate, featurise
from molmv.graphs import featurise_rdkit as reference
from molmv.rows import OK

MOLECULES = [
    "C",
    "[H][H]",
    "[H+]",
    "CCO",
    "c1ccccc1",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "[Na+].[Cl-]",
    "[O-]S(=O)(=O)[O-].[Ca+2].O.O",
    "CC(=O)O[Hg]c1ccccc1",
    "[NH3]->[Pt](<-[NH3])(Cl)Cl",
    "CC->[Fe]",
    "[Fe+5]",
    "[U+6]",
    "[Og]",
    "*CC[*:1]",
    "[2H]C([2H])([2H])O",
    "[13CH3][15NH2]",
    "[238U]",
    "F/C=C/F",
    r"F/C=C\F",
    "FC=CF",
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "C[S@](=O)c1ccccc1",
    "C[P@](=O)(O)c1ccccc1",
    "N[C@](F)(Cl)Br",
    "C[C@H]1CC[C@@H](C)CC1",
    "[CH3]",
    "[CH2]",
    "[O][O]",
    "C[N+](C)(C)C",
    "C#N",
    "[C-]#[O+]",
    "C=[N+]=[N-]",
    "O=[N+]([O-])c1ccccc1",
    "c1ccc2[nH]ccc2c1",
    "O=c1cccc[nH]1",
    "Oc1ccccn1",
    "C1CC1",
    "C1CCC1",
    "C12C3C4C1C5C2C3C45",
    "C1CCCCCCC1",
    "C1CCCCCCCC1",
    "C1" + "C" * 28 + "1",
    "C1CC12CC2",
    "FI(F)(F)(F)F",
    "FS(F)(F)(F)(F)F",
    "OB(O)c1ccccc1",
    "[SiH3][SiH3]",
    "[se]1cccc1",
    "C~C",
    "NCC(=O)" * 40 + "O",
    "C" * 1000,
]
BAD = ["", None, "c1ccccc", "CCO name", "C(C)(C)(C)(C)C", "c1cccc1", "C" * 1001, "CC>>CC"]


def graphs_of(smiles: list, build=featurise) -> tuple[molecules.Rows, Graphs]:
    rows = molecules.screen(smiles)
    return rows, build(rows)


def assert_equal(a: Graphs, b: Graphs) -> None:
    for name in ("atoms", "atom_offsets", "bonds", "bond_codes", "bond_offsets"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype, name
        np.testing.assert_array_equal(x, y, err_msg=name)


def atoms_of(graphs: Graphs, row: int) -> Counter[tuple[int, ...]]:
    """The atoms of a row, without their order."""
    return Counter(map(tuple, graphs.atoms[graphs.atom_offsets[row] : graphs.atom_offsets[row + 1]].tolist()))


@pytest.fixture(autouse=True, scope="module")
def cuik() -> None:
    pytest.importorskip("cuik_molmaker", reason="the C++ featuriser is not installed: there is only one path to test")


@pytest.mark.parametrize("smiles", MOLECULES, ids=lambda smiles: smiles[:30])
def test_same_graph_as_rdkit(smiles: str):
    rows, graphs = graphs_of([smiles])
    assert rows.status == [OK], rows.reason
    assert_equal(graphs, graphs_of([smiles], reference)[1])


def test_same_graphs_and_reasons_as_rdkit_in_a_mixture():
    mixture = [x for pair in zip(MOLECULES, BAD * 10, strict=False) for x in pair] * 6  # several pieces
    rows, graphs = graphs_of(mixture)
    rows_reference, graphs_reference = graphs_of(mixture, reference)
    assert rows == rows_reference
    assert_equal(graphs, graphs_reference)


@pytest.mark.parametrize("name", ["AMES", "BBB_Martins", "hERG", "Lipophilicity_AstraZeneca", "Caco2_Wang"])
def test_same_graphs_on_real_molecules(shared_data: Path, name: str):
    path = shared_data / "tdc" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no {path}")
    with path.open(encoding="utf-8", newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    rows, graphs = graphs_of(smiles)
    rows_reference, graphs_reference = graphs_of(smiles, reference)
    assert rows == rows_reference
    assert_equal(graphs, graphs_reference)


def test_by_hand():
    """Acetate: degree counts hydrogens, the charge is shifted by 4, the double bond is conjugated."""
    _, graphs = graphs_of(["CC(=O)[O-]"])
    columns = list(ATOM_FIELDS)
    atoms = graphs.atoms.astype(int)
    assert atoms[:, columns.index("atomic_number")].tolist() == [6, 6, 8, 8]
    assert atoms[:, columns.index("degree")].tolist() == [4, 3, 1, 1]
    assert atoms[:, columns.index("charge")].tolist() == [4, 4, 4, 3]
    assert atoms[:, columns.index("ring_size")].tolist() == [0, 0, 0, 0]
    assert graphs.bonds.tolist() == [[0, 1], [1, 2], [1, 3]]
    order, conjugated, in_ring, stereo = bond_fields()[graphs.bond_codes].T.tolist()
    assert order == [0, 1, 0]
    assert conjugated == [0, 1, 1]
    assert in_ring == stereo == [0, 0, 0]


def test_stereo_is_seen():
    for one, other in [("F/C=C/F", r"F/C=C\F"), ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"), ("FC=CF", "F/C=C/F")]:
        (_, a), (_, b) = graphs_of([one]), graphs_of([other])
        assert not (np.array_equal(a.atoms, b.atoms) and np.array_equal(a.bond_codes, b.bond_codes)), one


def test_categories_are_in_range():
    _, graphs = graphs_of(MOLECULES)
    assert (graphs.atoms < np.array(list(ATOM_FIELDS.values()))).all()
    assert (graphs.bond_codes < NUM_BONDS).all()
    assert len(np.unique(bond_fields(), axis=0)) == NUM_BONDS
    assert (bond_fields().max(axis=0) == np.array(list(BOND_FIELDS.values())) - 1).all()


@pytest.mark.parametrize("build", [featurise, reference])
def test_refused_rows_are_empty_graphs(build):
    values = ["CCO", *BAD, "CCN"]
    rows, graphs = graphs_of(values, build)
    assert graphs.sizes.tolist() == [3] + [0] * len(BAD) + [3]
    assert np.diff(graphs.bond_offsets).tolist() == [2] + [0] * len(BAD) + [2]
    assert rows.valid.tolist() == [True] + [False] * len(BAD) + [True]


@pytest.mark.parametrize(
    "values", [[], [""], BAD, ["C"], [*BAD, "C"]], ids=["none", "one bad", "all bad", "one", "last"]
)
def test_few_rows(values: list):
    _, graphs = graphs_of(values)
    assert len(graphs) == len(values)
    assert graphs.atoms.shape == (1 if "C" in values else 0, len(ATOM_FIELDS))
    assert graphs.bonds.shape == (0, 2)
    assert_equal(graphs, graphs_of(values, reference)[1])
    assert graphs.batch(np.arange(len(values))).num_graphs == len(values)


@given(smiles=st.sampled_from([s for s in MOLECULES if len(s) < 300]), seed=st.integers(0, 2**31 - 1))
def test_atom_order_does_not_matter(smiles: str, seed: int):
    other = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)[0]
    rows, graphs = graphs_of([smiles, other])
    assert rows.status == [OK, OK], (other, rows.reason)
    assert atoms_of(graphs, 0) == atoms_of(graphs, 1), other
    first, second = graphs.bond_codes[: graphs.bond_offsets[1]], graphs.bond_codes[graphs.bond_offsets[1] :]
    assert Counter(first.tolist()) == Counter(second.tolist()), other


@given(st.lists(st.integers(0, 7), max_size=12))
def test_batch_is_the_naive_union(chosen: list[int]):
    _, graphs = graphs_of(["CCO", "", "c1ccccc1", "[Na+].[Cl-]", "C", "bad", "C#N", "C1CC1C"])
    batch = graphs.batch(np.array(chosen, dtype=np.int64))
    atoms, graph, forward, backward, codes = [], [], [], [], []
    for position, row in enumerate(chosen):
        for bond in range(graphs.bond_offsets[row], graphs.bond_offsets[row + 1]):
            a, b = (int(end) + len(atoms) for end in graphs.bonds[bond])
            forward.append((a, b))
            backward.append((b, a))
            codes.append(int(graphs.bond_codes[bond]))
        for atom in range(graphs.atom_offsets[row], graphs.atom_offsets[row + 1]):
            atoms.append(graphs.atoms[atom].tolist())
            graph.append(position)
    assert batch.num_graphs == len(chosen)
    assert batch.atoms.tolist() == atoms
    assert batch.graph.tolist() == graph
    assert list(zip(batch.source.tolist(), batch.target.tolist(), strict=True)) == forward + backward
    assert batch.bond_codes.tolist() == codes * 2


def test_concatenate_is_featurising_at_once():
    mixture = [*MOLECULES, *BAD]
    parts = [graphs_of(mixture[start : start + 7])[1] for start in range(0, len(mixture), 7)]
    assert_equal(concatenate(parts), graphs_of(mixture)[1])
    assert len(concatenate([])) == 0


@pytest.mark.parametrize("seed", range(4))
def test_mutated_smiles_never_crash(seed: int):
    """A crash in C++ would end the process, and this test with it."""
    chance = random.Random(seed)
    alphabet = "CNOPSFIBrcnosp[]()=#$:/\\@+-.%0123456789*HKaMgXe>~&;{}|"

    def mutate(smiles: str) -> str:
        text = list(smiles)
        for _ in range(chance.choice([0, 1, 1, 2, 5, 20])):
            place = chance.randrange(len(text) + 1)
            text[place : place + chance.choice([0, 1])] = chance.choice([[], [chance.choice(alphabet)]])
        return "".join(text)

    smiles = [mutate(chance.choice(MOLECULES[:-2])) for _ in range(2000)]
    rows, graphs = graphs_of(smiles)
    assert len(rows) == len(graphs) == len(smiles)
    assert [status == OK for status in rows.status] == (graphs.sizes > 0).tolist()
    assert [status == OK for status in rows.status] == [reason == "" for reason in rows.reason]
    rows_reference, graphs_reference = graphs_of(smiles, reference)
    assert rows == rows_reference
    assert_equal(graphs, graphs_reference)

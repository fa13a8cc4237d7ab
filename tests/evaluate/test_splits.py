"""Splits against scikit-fingerprints' scaffold split, RDKit, and what must always hold."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import InputError
from molmv.evaluate import splits

MOLECULES = ["c1ccccc1", "Cc1ccccc1", "CCc1ccccc1O", "C1CCCCC1", "CC1CCCCC1", "c1ccncc1", "CCO", "CCN", "CCCC", "C1CC1"]


def smiles_of(path) -> list[str]:
    with path.open(newline="") as file:
        return [row["smiles"] for row in csv.DictReader(file)]


def everyone_once(split: splits.Split, n: int) -> bool:
    return sorted([*split.train, *split.test, *split.validation]) == list(range(n))


def test_groups_are_rdkits_scaffolds(shared_data):
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    smiles = smiles_of(shared_data / "tdc" / "hERG.csv")
    flat = []
    for text in smiles:
        mol = Chem.MolFromSmiles(text)
        Chem.RemoveStereochemistry(mol)
        flat.append(MurckoScaffold.MurckoScaffoldSmiles(mol=mol))
    groups = splits.scaffold_groups(smiles)
    assert len(set(groups)) == len(set(flat)) == len(set(zip(groups, flat, strict=True)))


def test_deterministic_split_takes_the_rarest_scaffolds_as_scikit_fingerprints_does(shared_data):
    from skfp.model_selection import scaffold_train_test_split

    smiles = smiles_of(shared_data / "tdc" / "hERG.csv")
    mine = splits.scaffold_split(smiles, 0.2)
    _, theirs = scaffold_train_test_split(smiles, test_size=0.2, return_indices=True)
    groups = splits.scaffold_groups(smiles)
    sizes = np.bincount(groups)
    assert len(mine.test) == len(theirs)
    # Which of equally rare scaffolds are taken is a convention (theirs: the order of the rows).
    assert sorted(sizes[groups[mine.test]]) == sorted(sizes[groups[theirs]])


def test_atom_maps_and_stereo_do_not_make_scaffolds():
    assert len(set(splits.scaffold_groups(["C[C@H]1CC[C@@H](C)CC1", "CC1CCC(C)CC1", "[CH3:1][CH:2]1CCCCC1"]))) == 1


@given(st.permutations(range(len(MOLECULES))), st.one_of(st.none(), st.integers(0, 50)))
def test_scaffold_split_ignores_the_order_of_rows_and_keeps_scaffolds_whole(order, seed):
    split = splits.scaffold_split(MOLECULES, 0.3, seed)
    shuffled = [MOLECULES[i] for i in order]
    again = splits.scaffold_split(shuffled, 0.3, seed)
    assert everyone_once(split, len(MOLECULES))
    assert {MOLECULES[i] for i in split.test} == {shuffled[i] for i in again.test}
    groups = splits.scaffold_groups(MOLECULES)
    assert not set(groups[split.train]) & set(groups[split.test])
    assert len(split.train)
    assert len(split.test)


def test_a_scaffold_of_most_rows_stays_in_training():
    smiles = ["C" * n + "c1ccccc1" for n in range(1, 21)] + MOLECULES
    for split in splits.repeated("scaffold", smiles, 10):
        assert 0 in split.train


@given(st.integers(10, 300), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_random_split_has_the_share_and_every_row_once(n, share, seed):
    split = splits.random_split(n, share, seed)
    assert everyone_once(split, n)
    assert len(split.test) == round(n * share)


def test_repeats_differ():
    tests = {tuple(split.test) for split in splits.repeated("random", ["C"] * 100, 5)}
    assert len(tests) == 5


def test_official_split_is_the_mark():
    split = splits.official_split(np.array([False, True, False]))
    assert (split.train.tolist(), split.test.tolist()) == ([0, 2], [1])


def test_tdc_split_has_tdcs_sizes(shared_data):
    smiles = smiles_of(shared_data / "tdc" / "PAMPA_NCATS.csv")
    split = splits.tdc_scaffold_split(smiles)
    assert everyone_once(split, len(smiles))
    assert len(split.train) == int(0.7 * len(smiles))
    assert len(split.validation) == int(0.1 * len(smiles))
    groups = splits.scaffold_groups(smiles)
    assert not set(groups[split.train]) & set(groups[split.test])


def test_impossible_splits_are_refused():
    with pytest.raises(InputError, match="one scaffold"):
        splits.scaffold_split(["CCO", "CCN", "CCC"], 0.3)
    with pytest.raises(InputError, match="not possible"):
        splits.random_split(3, 0.01)
    with pytest.raises(InputError, match="Known: scaffold, random"):
        list(splits.repeated("time", MOLECULES))

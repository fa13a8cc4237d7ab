"""Similarity is RDKit's Tanimoto."""

import numpy as np
import pytest

pytest.importorskip("skfp")

from rdkit import DataStructs
from rdkit.DataStructs import ExplicitBitVect

from molmv.predicting.domain import Domain, fingerprints, nearest, pack

SMILES = ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CCCCCCN", "c1ccccc1N", "CCOC(=O)c1ccccc1"]


def vector(row: np.ndarray) -> ExplicitBitVect:
    found = ExplicitBitVect(len(row))
    found.SetBitsFromList(np.flatnonzero(row).tolist())
    return found


def test_nearest_is_rdkits():
    bits = fingerprints(SMILES).X
    vectors = [vector(row) for row in bits]
    expected = [max(DataStructs.BulkTanimotoSimilarity(v, vectors[:3])) for v in vectors]
    np.testing.assert_allclose(nearest(pack(bits), pack(bits[:3])), expected)


def test_no_bits_at_all_is_no_similarity():
    empty = np.zeros((1, 2048))
    assert nearest(pack(empty), pack(empty)).tolist() == [0.0]


def test_threshold_looks_at_other_folds_only():
    """Each molecule twice, once in each fold: all are at similarity 1, and so is the threshold."""
    bits = fingerprints(SMILES * 2).X
    domain = Domain.fit(bits, np.repeat([0, 1], len(SMILES)))
    assert domain.threshold == 1.0
    similarity, inside = domain(fingerprints(["CCO", "FC(F)(F)S"]).X)
    assert similarity[0] == 1.0
    assert inside.tolist() == [True, False]

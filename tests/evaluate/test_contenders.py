"""What stands in a table."""

import numpy as np
from fake_embedder import FakeEmbedder

from molmv.evaluate import contenders
from molmv.teacher import Teacher


def lengths(smiles):
    return np.array([[np.nan if s == "CC" else len(s)] for s in smiles])


def test_baselines_are_always_there_and_once():
    names = [line.name for line in contenders.gather(["ecfp", FakeEmbedder()])]
    assert names == ["ecfp", "fake", "ecfp-count", "rdkit-descriptors"]


def test_bits_and_counts_are_told_from_numbers():
    discrete = {line.name: line.discrete for line in contenders.gather([FakeEmbedder()])}
    assert discrete == {"fake": False, "ecfp": True, "ecfp-count": True, "rdkit-descriptors": False}


def test_all_teachers_stand_side_by_side(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path))
    teachers = [Teacher.from_callable(lengths, 1, name) for name in ("one", "two")]
    *_, line = contenders.gather([*teachers, FakeEmbedder()], baselines=())
    assert line.name == "all-teachers"
    X = line.vectors(["C", "CC", "CCO"])
    np.testing.assert_array_equal(X, [[1, 1], [np.nan, np.nan], [3, 3]])
    assert line.digest not in {teacher.digest for teacher in teachers}

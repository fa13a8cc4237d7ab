"""The inherited suite itself: it must fail a teacher that is wrong."""

import numpy as np
import pytest

from molmv.teacher import Teacher
from molmv.testing.adapter import MOLECULES, AdapterSuite, embed


def lengths(smiles):
    return np.array([[len(s), s.count("C"), s.count("c")] for s in smiles], dtype=float).reshape(len(smiles), 3)


def relative(smiles):
    """Depends on the other rows of the batch."""
    return lengths(smiles) - lengths(smiles).mean(axis=0)


def sorted_rows(smiles):
    return lengths(sorted(smiles))


def check(function, test, canonicalise=True, *arguments):
    suite, teacher = AdapterSuite(), Teacher.from_callable(function, 3, "toy", canonicalise=canonicalise)
    vectors = dict(zip(MOLECULES, embed(teacher, MOLECULES), strict=True))
    getattr(suite, test)(*arguments, teacher=teacher, vectors=vectors)


@pytest.mark.parametrize("test", ["test_rows_never_shift", "test_spelling_does_not_matter"])
def test_a_right_teacher_passes(test):
    check(lengths, test)
    check(lengths, "test_batches_do_not_matter", True, 2)


def test_a_teacher_that_sorts_fails():
    with pytest.raises(AssertionError):
        check(sorted_rows, "test_rows_never_shift")


def test_a_teacher_that_mixes_its_batch_fails():
    with pytest.raises(AssertionError):
        check(relative, "test_batches_do_not_matter", True, 2)


def test_a_teacher_of_the_text_fails():
    with pytest.raises(AssertionError):
        check(lambda smiles: lengths([s[:3] for s in smiles]), "test_spelling_does_not_matter", False)


def test_a_teacher_that_refuses_good_molecules_fails():
    with pytest.raises(AssertionError):
        check(lambda smiles: np.full((len(smiles), 3), np.nan), "test_rows_never_shift")

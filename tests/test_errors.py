"""Errors cross process borders whole: a worker's error reaches the user with its hint."""

import pickle

import pytest

from molmv import errors

KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.MolmvError)]


@pytest.mark.parametrize("kind", KINDS)
def test_survives_pickling(kind: type[errors.MolmvError]):
    error = kind("expected this, found that", "Do so.")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.message, back.hint, str(back)) == (error.message, error.hint, str(error))
    assert back.exit_code == error.exit_code

"""A task comes out of the cache as it went in; another file or version is another task."""

from dataclasses import fields, replace

import numpy as np
import pytest

from molmv.evaluate import prepared
from molmv.evaluate.prepared import load_prepared_task
from molmv.evaluate.protocols import PROTOCOLS
from molmv.evaluate.sources import DataFile
from molmv.evaluate.tasks import make_task

FILE = DataFile("tdc", "hERG", "classification", "tdc/hERG.csv", "a" * 64)
SMILES = ["CCO", "OCC", "c1ccccc1", "not one", "C[C@H](N)O", "CC(=O)[O-].[Na+]"]


@pytest.fixture
def loads(monkeypatch, tmp_path):
    calls = []

    def load(name, suite, censored):
        calls.append(name)
        Y = np.array([[0, 1, 1, 0, 1, np.nan], [0, 1, 0, 1, 1, 0]]).T.astype(float)
        return make_task(name, SMILES, Y, ("a", "b"), test=np.arange(6) > 3)

    monkeypatch.setenv("MOLMV_HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "load_task", load)
    monkeypatch.setattr(prepared, "files", lambda: (FILE,))
    return calls


@pytest.mark.parametrize("protocol", ["strict", "tdc-admet"])
def test_the_second_time_it_is_read_and_the_same(loads, protocol):
    first, second = (load_prepared_task("hERG", PROTOCOLS[protocol]) for _ in range(2))
    assert loads == ["hERG"]
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))
        assert isinstance(getattr(second, field.name), type(getattr(first, field.name)))


def test_another_file_or_version_is_not_it_and_a_damaged_one_is_read_again(loads, monkeypatch, tmp_path):
    strict = PROTOCOLS["strict"]
    load_prepared_task("hERG", strict)
    monkeypatch.setattr(prepared, "files", lambda: (replace(FILE, sha256="b" * 64),))
    load_prepared_task("hERG", strict)
    monkeypatch.setattr(type(strict), "version", 99)
    load_prepared_task("hERG", strict)
    assert len(loads) == 3
    for path in (tmp_path / "evaluate" / "tasks").glob("*.npz"):
        path.write_bytes(b"cut off")
    load_prepared_task("hERG", strict)
    assert len(loads) == 4


def test_a_users_file_is_read_every_time(loads):
    for _ in range(2):
        load_prepared_task("assay.csv:y", PROTOCOLS["strict"])
    assert len(loads) == 2

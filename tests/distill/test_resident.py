"""Vectors on a device are those of the stores; here the device is the CPU."""

import numpy as np
import pytest
import torch
from tiny_distillation import TEACHERS, World

from molmv.distill.data import StoredTargets, open_stores
from molmv.distill.resident import ResidentStore, ResidentTargets, settle
from molmv.embeddings import ENCODINGS, decode, encode

CPU = torch.device("cpu")


def test_targets_are_those_of_the_stores(world: World):
    stores = open_stores(world.stores, list(TEACHERS))
    rows = np.array([3, 0, 3, len(world.rows) - 1])
    expected, resident = StoredTargets(stores).of(rows), ResidentTargets(stores, CPU).of(rows)
    for mine, theirs in zip(resident, expected, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read_as_it_is_kept(encoding: str):
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2, (6, 13)) if encoding == "bits" else draw.integers(0, 200, (6, 13))
    values = (values * (300 if encoding == "uint16" else 1)).astype(np.float32)
    packed = encode(values, encoding)
    store = ResidentStore([packed[:4], packed[4:]], np.ones(6, bool), encoding, 13, CPU)
    np.testing.assert_array_equal(store.take(torch.tensor([5, 0, 5])).numpy(), decode(packed, encoding, 13)[[5, 0, 5]])


def test_a_cpu_reads_batch_by_batch(world: World):
    stores = open_stores(world.stores, list(TEACHERS))
    inputs = object()
    found, targets = settle(inputs, stores, CPU)
    assert found is inputs
    assert isinstance(targets, StoredTargets)

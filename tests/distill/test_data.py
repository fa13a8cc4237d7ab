"""Splits, batches and standardisers: which rows go where, and what they can see of each other."""

import copy
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_distillation import SIZES, TEACHERS, World, make_world, write_stores

from molmv.distill.data import Batches, DistillData, StoredTargets, fit_standardiser, open_stores, split_rows
from molmv.embeddings import EmbeddingStore
from molmv.errors import ConfigError, StoreError
from molmv.student.inputs import read_corpus


@given(usable=st.lists(st.booleans(), max_size=200), held_out=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_split_is_disjoint_and_complete(usable: list[bool], held_out: float, seed: int):
    rows = np.flatnonzero(usable)
    count = round(len(rows) * held_out)
    if not 0 < count < len(rows):
        with pytest.raises(ConfigError, match=f"{len(rows)} rows"):
            split_rows(np.array(usable, bool), held_out, seed)
        return
    split = split_rows(np.array(usable, bool), held_out, seed)
    assert len(split.held_out) == count
    assert sorted([*split.train, *split.held_out]) == rows.tolist()
    again = split_rows(np.array(usable, bool), held_out, seed)
    np.testing.assert_array_equal(split.train, again.train)
    np.testing.assert_array_equal(split.held_out, again.held_out)


def test_split_depends_on_the_seed():
    first, second = (split_rows(np.ones(100, bool), 0.2, seed) for seed in (0, 1))
    assert set(first.held_out) != set(second.held_out)


@given(rows=st.integers(1, 60), size=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_every_epoch_is_a_permutation(rows: int, size: int, seed: int):
    """Cut into batches, without the rest that fills none."""
    names = np.arange(1000, 1000 + rows)
    batches = Batches(None, StoredTargets({}), names, size, seed)
    size = min(size, rows)
    steps = rows // size
    for epoch in range(3):
        seen = np.concatenate([batches.rows_of_step(epoch * steps + k) for k in range(steps)])
        assert len(set(seen)) == len(seen) == steps * size
        assert set(seen) <= set(names)


def test_epochs_differ_and_all_rows_come():
    batches = Batches(None, StoredTargets({}), np.arange(50), 50, 3)
    first, second = batches.rows_of_step(0), batches.rows_of_step(1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)


@given(steps=st.lists(st.integers(0, 40), min_size=1, max_size=8), seed=st.integers(0, 5))
def test_rows_are_a_function_of_seed_and_step(steps: list[int], seed: int):
    """Whatever was asked before."""
    batches = Batches(None, StoredTargets({}), np.arange(31), 4, seed)
    for step in steps:
        expected = Batches(None, StoredTargets({}), np.arange(31), 4, seed).rows_of_step(step)
        np.testing.assert_array_equal(batches.rows_of_step(step), expected)


@pytest.fixture(scope="module")
def data(world: World) -> DistillData:
    inputs = read_corpus(world.corpus, SIZES)
    stores = open_stores(world.stores, list(TEACHERS))
    return DistillData(inputs, StoredTargets(stores), split_rows(inputs.usable, 0.2, 0), 16, 7)


def test_unusable_rows_are_those_without_a_graph(world: World):
    np.testing.assert_array_equal(read_corpus(world.corpus, SIZES).usable, world.rows.valid)


def test_batch_holds_the_graphs_and_vectors_of_its_rows(world: World, data: DistillData):
    batch = next(iter(data.train_dataloader()))
    rows = data.training.rows_of_step(0)
    atoms = np.bincount(batch.inputs.graph, minlength=16)
    np.testing.assert_array_equal(atoms, data.training.inputs.graphs.sizes[rows])
    for name in TEACHERS:
        valid = world.valid[name][rows]
        np.testing.assert_array_equal(batch.present[name], valid)
        np.testing.assert_allclose(batch.targets[name][valid], world.values[name][rows][valid], rtol=1e-6)


def test_stream_starts_at_any_step(data: DistillData):
    from_the_start = list(islice(data.training, 12))
    later = copy.copy(data.training)
    later.start = 9
    for expected, found in zip(from_the_start[9:], later, strict=False):
        assert torch.equal(expected.inputs.atoms, found.inputs.atoms)


def test_held_out_rows_come_once_in_order(data: DistillData):
    batches = list(data.val_dataloader())
    assert sum(batch.inputs.num_graphs for batch in batches) == len(data.held_out.rows)
    sizes = np.concatenate([np.bincount(i.graph, minlength=i.num_graphs) for i in (b.inputs for b in batches)])
    np.testing.assert_array_equal(sizes, data.training.inputs.graphs.sizes[data.held_out.rows])


@pytest.mark.parametrize("mode", ["scale", "whiten", "identity"])
def test_standardiser_sees_training_rows_only(fresh_world: World, mode: str):
    rows = split_rows(fresh_world.rows.valid, 0.3, 0).train
    name = "counts" if mode == "identity" else "real"
    clean = fit_standardiser(EmbeddingStore(fresh_world.stores / name), rows, mode)
    unseen = np.setdiff1d(np.arange(len(fresh_world.rows)), rows)
    fresh_world.values[name][unseen] = 200
    fresh_world.values[name][~fresh_world.valid[name]] = 250  # refused rows, too
    fresh_world.stores = fresh_world.stores / "poisoned"
    write_stores(fresh_world)
    poisoned = fit_standardiser(EmbeddingStore(fresh_world.stores / name), rows, mode)
    for key, value in clean.state_dict().items():
        assert torch.equal(value, poisoned.state_dict()[key]), key


def test_standardiser_does_not_depend_on_the_order_of_the_rows(world: World):
    store, rows = EmbeddingStore(world.stores / "real"), np.flatnonzero(world.rows.valid)
    first, second = (fit_standardiser(store, order, "scale").state_dict() for order in (rows, rows[::-1]))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_constant_teacher_is_named(fresh_world: World):
    fresh_world.values["bits"][:] = 1
    fresh_world.stores = fresh_world.stores / "constant"
    write_stores(fresh_world)
    with pytest.raises(ConfigError, match="Teacher 'bits': Expected a column that varies"):
        fit_standardiser(EmbeddingStore(fresh_world.stores / "bits"), np.arange(50), "identity")


def test_absent_teacher_is_named(world: World):
    missing = np.flatnonzero(~world.valid["real"])
    with pytest.raises(ConfigError, match="Teacher 'real': Expected at least one valid row"):
        fit_standardiser(EmbeddingStore(world.stores / "real"), missing, "scale")


def test_missing_store_is_named(world: World):
    with pytest.raises(StoreError, match="no-such"):
        open_stores(world.stores, ["real", "no-such"])


def test_stores_of_different_corpora_are_refused(fresh_world: World, tmp_path: Path):
    other = make_world(tmp_path / "other")
    write_stores(World(**{**vars(other), "stores": tmp_path / "mixed"}), corpus="1" * 64)
    (fresh_world.stores / "real").rename(tmp_path / "old")
    (tmp_path / "mixed" / "real").rename(fresh_world.stores / "real")
    with pytest.raises(StoreError, match="2 different corpora"):
        open_stores(fresh_world.stores, list(TEACHERS))


def test_shuffled_store_is_refused(fresh_world: World, tmp_path: Path):
    order = np.random.default_rng(0).permutation(len(fresh_world.rows))
    rows = fresh_world.rows
    shuffled = World(**{**vars(fresh_world), "stores": tmp_path / "shuffled"})
    shuffled.rows = type(rows)([rows.inputs[i] for i in order], [rows.status[i] for i in order], [""] * len(rows))
    write_stores(shuffled)
    (fresh_world.stores / "real").rename(tmp_path / "old")
    (shuffled.stores / "real").rename(fresh_world.stores / "real")
    with pytest.raises(StoreError, match=r"different molecules, first at row \d+"):
        open_stores(fresh_world.stores, list(TEACHERS))

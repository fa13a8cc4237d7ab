"""The cache: one vector a molecule and model, whatever happens in between."""

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

from molmv.evaluate.cache import EmbeddingCache
from molmv.models import load_embedder

MOLECULES = ["C", "CC", "CCO", "c1ccccc1", "CCO"]


class Counting(FakeEmbedder):
    def __init__(self, **changes):
        super().__init__(**changes)
        self.seen: list[str] = []

    def embed(self, rows):
        self.seen += rows.inputs
        return super().embed(rows)


def test_each_molecule_is_embedded_once(tmp_path):
    model = Counting()
    cache = EmbeddingCache(model, tmp_path)
    first = cache.vectors(MOLECULES)
    assert sorted(model.seen) == sorted(set(MOLECULES))
    again = EmbeddingCache(model, tmp_path).vectors([*MOLECULES[::-1], "CCCC"])
    assert len(model.seen) == 5
    np.testing.assert_array_equal(again[:5], first[::-1])
    np.testing.assert_array_equal(first, FakeEmbedder().embed(FakeEmbedder().screen(MOLECULES)))


def test_another_digest_is_another_model(tmp_path):
    for digest in ("0" * 64, "1" * 64):
        model = Counting(digest=digest)
        EmbeddingCache(model, tmp_path).vectors(MOLECULES)
        assert model.seen


def test_bits_come_back_as_they_were(tmp_path):
    model = load_embedder("ecfp", device="cpu")
    cache = EmbeddingCache(model, tmp_path)
    first = cache.vectors(MOLECULES)
    np.testing.assert_array_equal(cache.vectors(MOLECULES), first)
    np.testing.assert_array_equal(first, model.embed(model.screen(MOLECULES)))
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) < 5_000


def test_what_a_model_refuses_stays_refused(tmp_path):
    model = Counting()
    cache = EmbeddingCache(model, tmp_path)
    for _ in range(2):
        X = cache.vectors(["C", "not a molecule"])
        assert np.isfinite(X[0]).all()
        assert np.isnan(X[1]).all()
    assert len(model.seen) == 2


def test_a_stopped_run_keeps_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("molmv.evaluate.cache.PART", 2)
    model = Counting()

    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EmbeddingCache(model, tmp_path).vectors(MOLECULES, stop)
    EmbeddingCache(model, tmp_path).vectors(MOLECULES)
    assert sorted(model.seen) == sorted(set(MOLECULES))


def test_a_damaged_part_is_embedded_again(tmp_path):
    cache = EmbeddingCache(FakeEmbedder(), tmp_path)
    first = cache.vectors(MOLECULES)
    for path in cache.folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(cache.vectors(MOLECULES), first)

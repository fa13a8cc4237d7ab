"""The index of vectors, held to brute force by numpy."""

import json

import numpy as np
import pyarrow as pa
import pytest

from molmv.errors import InputError, OutputError, ShapeError
from molmv.vector_index import VectorIndex, write_index


def cloud(n: int, dim: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def built(folder, X: np.ndarray, metric: str = "cosine") -> VectorIndex:
    half = len(X) // 2
    pieces = [(X[:half], table(0, half)), (X[half:], table(half, len(X)))]
    assert write_index(folder, pieces, {"dim": X.shape[1], "model": "m", "digest": "d"}, metric) == len(X)
    return VectorIndex(folder)


def table(start: int, stop: int) -> pa.Table:
    return pa.table({"row": np.arange(start, stop)})


def similarity(A: np.ndarray, B: np.ndarray, metric: str) -> np.ndarray:
    """Larger is nearer."""
    if metric == "euclidean":
        return -np.linalg.norm(A[:, None] - B[None], axis=2)
    return (A / np.linalg.norm(A, axis=1)[:, None]) @ (B / np.linalg.norm(B, axis=1)[:, None]).T


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_exact_search_is_brute_force(tmp_path, metric):
    X, Q = cloud(500), cloud(20, seed=1)
    near = similarity(Q, X, metric)
    keys, found = built(tmp_path / "index", X, metric).search(Q, 5, exact=True)
    assert (keys == np.argsort(-near, axis=1)[:, :5]).mean() > 0.95  # half precision swaps what is nearly equal
    expected = np.take_along_axis(near, keys, axis=1)
    np.testing.assert_allclose(found, expected if metric == "cosine" else -expected, atol=5e-3)
    assert (np.diff(found) <= 1e-6).all() if metric == "cosine" else (np.diff(found) >= -1e-6).all()


def test_graph_search_finds_most_of_them(tmp_path):
    X, Q = cloud(3000), cloud(100, seed=1)
    index = built(tmp_path / "index", X)
    expected = index.search(Q, 10, exact=True)[0]
    found = index.search(Q, 10)[0]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, expected, strict=True)]) > 0.95


def test_every_vector_is_its_own_neighbour(tmp_path):
    X = cloud(200)
    keys, cosine = built(tmp_path / "index", X).search(X, 1)
    assert keys[:, 0].tolist() == list(range(200))
    np.testing.assert_allclose(cosine, 1, atol=2e-3)


def test_shapes_at_the_edge(tmp_path):
    index = built(tmp_path / "index", cloud(3))
    assert index.search(cloud(2), 10)[0].shape == (2, 3)
    assert index.search(cloud(1), 2)[0].shape == (1, 2)
    assert index.search(cloud(0), 2)[0].shape == (0, 2)
    with pytest.raises(ShapeError):
        index.search(cloud(2, dim=5))
    with pytest.raises(InputError):
        index.search(cloud(2), 0)


def test_what_is_not_built(tmp_path):
    X = cloud(4)
    with pytest.raises(InputError, match="metric"):
        built(tmp_path / "other", X, "manhattan")
    with pytest.raises(InputError, match="no molecule"):
        write_index(tmp_path / "empty", [], {"dim": 3})
    built(tmp_path / "index", X)
    with pytest.raises(OutputError, match="holds an index"):
        built(tmp_path / "index", X)


@pytest.mark.parametrize("name", ["vectors.usearch", "rows.parquet", "index.json"])
def test_damage_is_noticed(tmp_path, name):
    built(tmp_path, cloud(50))
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=r"damaged|format|missing"):
        VectorIndex(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError):
        VectorIndex(tmp_path)


def test_another_format_is_refused(tmp_path):
    built(tmp_path, cloud(5))
    spec = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(spec | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        VectorIndex(tmp_path)

"""The index of vectors, held to brute force by numpy."""

import json
import struct

import numpy as np
import pyarrow as pa
import pytest

from molmv.errors import InputError, OutputError, ShapeError
from molmv.hashing import sha256
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
    # Along the graph a vector may miss itself: which links it gets depends on the order of the threads.
    keys, cosine = built(tmp_path / "index", X).search(X, 1, exact=True)
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
    with pytest.raises(InputError, match="nothing"):
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


# Where things stand in an index of 50 vectors of 24 numbers, see molmv.vector_graph.
HEAD = 8 + 50 * 24 * 2
SIZES, LEVELS = HEAD + 64, HEAD + 64 + 40
NODES = LEVELS + 2 * 50
FORGED = {
    "more vectors": (0, "<I", 51),
    "wider vectors": (4, "<I", 49),
    "many vectors": (0, "<I", 2**32 - 1),
    "no index": (HEAD, "<4s", b"abcd"),
    "another format": (HEAD + 7, "<H", 3),
    "another metric": (HEAD + 13, "<c", b"e"),
    "smaller numbers": (HEAD + 14, "<B", 11),
    "other keys": (HEAD + 15, "<B", 15),
    "wider links": (HEAD + 16, "<B", 14),
    "fewer present": (HEAD + 17, "<Q", 49),
    "some deleted": (HEAD + 25, "<Q", 1),
    "other width": (HEAD + 33, "<Q", 2**40),
    "several to a key": (HEAD + 41, "<B", 1),
    "larger graph": (SIZES, "<Q", 51),
    "huge graph": (SIZES, "<Q", 2**62),
    "more room": (SIZES + 8, "<Q", 17),
    "no room": (SIZES + 16, "<Q", 0),
    "much room": (SIZES + 16, "<Q", 2**60),
    "higher": (SIZES + 24, "<Q", 9),
    "entry beyond": (SIZES + 32, "<Q", 50),
    "a level": (LEVELS, "<h", 7),
    "a level below": (LEVELS + 2, "<h", -1),
    "a key twice": (NODES, "<Q", 1),
    "a key beyond": (NODES, "<Q", 50),
    "a level of a node": (NODES + 8, "<h", 3),
    "more links": (NODES + 10, "<I", 33),
    "many links": (NODES + 10, "<I", 2**32 - 1),
    "a link beyond": (NODES + 14, "<I", 50),
    "a link far beyond": (NODES + 14, "<I", 2**32 - 1),
}


def reseal(folder) -> None:
    spec = json.loads((folder / "index.json").read_text())
    spec["sha256"] = {name: sha256(folder / name) for name in spec["sha256"]}
    (folder / "index.json").write_text(json.dumps(spec))


@pytest.mark.parametrize("forged", FORGED)
def test_what_a_stranger_forged_is_refused(tmp_path, forged):
    """usearch would follow it out of the file."""
    built(tmp_path, cloud(50))
    data = bytearray((tmp_path / "vectors.usearch").read_bytes())
    place, kind, value = FORGED[forged]
    assert struct.unpack_from(kind, data, place) != (value,)
    struct.pack_into(kind, data, place, value)
    (tmp_path / "vectors.usearch").write_bytes(data)
    reseal(tmp_path)
    with pytest.raises(InputError, match=r"vectors\.usearch does not fit"):
        VectorIndex(tmp_path)


def test_links_of_upper_levels_are_looked_at(tmp_path):
    built(tmp_path, cloud(2000))
    data = bytearray((tmp_path / "vectors.usearch").read_bytes())
    levels = np.frombuffer(data, "<i2", 2000, 8 + 2000 * 48 + 64 + 40)
    assert levels.max() > 0
    begin = 8 + 2000 * 48 + 64 + 40 + 2 * 2000
    high = int(np.flatnonzero(levels)[0])
    place = begin + 142 * high + 142  # its links on level 1; the nodes before it have none there
    low = int(np.flatnonzero(levels == 0)[0])
    for value in (2000, low):
        spoilt = bytearray(data)
        struct.pack_into("<I", spoilt, place, 1)
        struct.pack_into("<I", spoilt, place + 4, value)
        (tmp_path / "vectors.usearch").write_bytes(spoilt)
        reseal(tmp_path)
        with pytest.raises(InputError, match="a link leads to no node"):
            VectorIndex(tmp_path)


@pytest.mark.parametrize("length", [0, 4, 8, HEAD, SIZES + 8, NODES - 1, NODES + 100, -1])
def test_a_cut_index_whose_hash_fits(tmp_path, length):
    built(tmp_path, cloud(50))
    data = (tmp_path / "vectors.usearch").read_bytes()
    (tmp_path / "vectors.usearch").write_bytes(data[:length])
    reseal(tmp_path)
    with pytest.raises(InputError, match=r"vectors\.usearch does not fit"):
        VectorIndex(tmp_path)


def test_an_index_of_other_rows(tmp_path):
    built(tmp_path / "one", cloud(50))
    built(tmp_path / "two", cloud(49))
    (tmp_path / "one" / "rows.parquet").write_bytes((tmp_path / "two" / "rows.parquet").read_bytes())
    reseal(tmp_path / "one")
    with pytest.raises(InputError, match="it does not hold 49 vectors"):
        VectorIndex(tmp_path / "one")


def test_another_format_is_refused(tmp_path):
    built(tmp_path, cloud(5))
    spec = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(spec | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        VectorIndex(tmp_path)

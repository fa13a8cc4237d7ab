"""An index of vectors for nearest neighbours: a graph (HNSW, Malkov & Yashunin, arXiv 1603.09320) that usearch keeps.

A folder: ``vectors.usearch``, ``rows.parquet`` (what each vector belongs to) and ``index.json``, which holds the hashes
of both and which model the vectors are of. It is opened as a memory map; hashes and every link are verified before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64

from molmv.atomic import replacing
from molmv.documents import read_json
from molmv.errors import InputError, MissingExtraError, OutputError, ShapeError
from molmv.hashing import sha256
from molmv.vector_graph import check_graph

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
SPEC, VECTORS, ROWS = "index.json", "vectors.usearch", "rows.parquet"
METRICS = {"cosine": "cos", "euclidean": "l2sq"}
# Links of a vector; candidates looked at when one is added, and when one is searched: see benchmarks/neighbours.py.
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 96


class VectorIndex:
    """Vectors, each with a row of a table. Made by :func:`write_index`.

    Args:
        folder: of the index.

    Attributes:
        spec: ``model``, ``digest``, ``dim``, ``metric``, ``rows``, and what the builder added.
        rows: columns of each vector's row, in the order of the vectors.

    Raises:
        InputError: no index, a damaged one, or one of another version.
        MissingExtraError: usearch is not installed.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        usearch = _usearch()
        self.spec = _spec(folder)
        try:
            self.rows: pa.Table = pq.read_table(folder / ROWS)
            self.rows.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"{folder / ROWS} cannot be opened: {why}.", "Build the index again.") from error
        try:
            check_graph(folder / VECTORS, len(self.rows), self.spec["dim"], self.spec["metric"])
            self._index = usearch.Index.restore(str(folder / VECTORS), view=True)
            if self._index is None:
                raise ValueError("it says nothing of itself")
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            why = " ".join(str(error).split())[:200]
            hint = "Build the index again."
            raise InputError(f"{folder / VECTORS} does not fit {ROWS}, or is damaged: {why}.", hint) from error
        self._index.expansion_search = EXPANSION_SEARCH

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, X: Float32[np.ndarray, "n dim"], k: int = 10, exact: bool = False, threads: int = 0
    ) -> tuple[Int64[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]:
        """The nearest vectors of each row of X, nearest first; fewer columns than k if the index is smaller.

        Args:
            X: finite vectors of the same model.
            k: neighbours of each.
            exact: look at every vector, not along the graph.
            threads: 0 = all cores.

        Returns:
            Positions in :attr:`rows`, and how near: the cosine, or the Euclidean distance (metric ``euclidean``).

        Raises:
            ShapeError: vectors of another width.
            InputError: ``k`` below 1.
        """
        if X.ndim != 2 or X.shape[1] != self.spec["dim"]:
            raise ShapeError(f"Expected vectors of width {self.spec['dim']}, found an array of shape {X.shape}.")
        if k < 1:
            raise InputError(f"{k} neighbours are impossible.", "Ask for at least 1.")
        k = min(k, len(self))
        if not len(X) or not k:
            return np.zeros((len(X), k), np.int64), np.zeros((len(X), k), np.float32)
        # Below its k-th candidate a graph search does not look: it needs more candidates than neighbours.
        self._index.expansion_search = max(EXPANSION_SEARCH, 2 * k)
        found = self._index.search(_lowered(X), k, exact=exact, threads=threads)
        keys = found.keys.reshape(len(X), k).astype(np.int64)
        distances = np.maximum(found.distances.reshape(len(X), k), 0).astype(np.float32)
        return keys, 1 - distances if self.spec["metric"] == "cosine" else np.sqrt(distances)


def write_index(
    folder: Path,
    pieces: Iterable[tuple[Float32[np.ndarray, "n dim"], pa.Table]],
    about: Mapping[str, Any],
    metric: str = "cosine",
    overwrite: bool = False,
    threads: int = 0,
) -> int:
    """Build an index, piece by piece; returns how many vectors it holds. The spec is written last.

    Args:
        folder: made if it is not there.
        pieces: finite vectors and as many rows of a table, all with the same columns.
        about: what the spec says besides; ``dim`` is required.
        metric: ``cosine`` or ``euclidean``.
        overwrite: replace an index that is there.
        threads: 0 = all cores.

    Raises:
        InputError: no such metric, or no vectors.
        OutputError: an index is there, or the folder cannot be written.
        MissingExtraError: usearch is not installed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    usearch = _usearch()
    if metric not in METRICS:
        raise InputError(f"No metric is called {metric!r}.", f"Use {' or '.join(METRICS)}.")
    if (folder / SPEC).exists() and not overwrite:
        raise OutputError(f"{folder} holds an index.", "Replace it with --overwrite, or choose another folder.")
    index = usearch.Index(
        ndim=about["dim"],
        metric=METRICS[metric],
        dtype="f16",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
    )
    tables = []
    for X, table in pieces:
        if len(X):
            index.add(np.arange(len(index), len(index) + len(X)), _lowered(X), threads=threads)
            tables.append(table)
    if not tables:
        raise InputError("There is nothing to index: every row was refused.", "Look at the column reason.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SPEC).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror}.", "Name another folder.") from error
    with replacing(folder / VECTORS) as temporary:
        index.save(str(temporary))
    with replacing(folder / ROWS) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")
    hashes = {name: sha256(folder / name) for name in (VECTORS, ROWS)}
    spec = {"format": FORMAT, "metric": metric, "rows": len(index), **about, "sha256": hashes}
    with replacing(folder / SPEC) as temporary:
        temporary.write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    return len(index)


def _lowered(X: np.ndarray) -> np.ndarray:
    """In the precision that the index keeps; numbers beyond its range become its limit."""
    limit = np.finfo(np.float16).max
    return np.clip(X, -limit, limit).astype(np.float16)


def _spec(folder: Path) -> dict[str, Any]:
    hint = "Build it with molmv index."
    try:
        spec = read_json(folder / SPEC)
        version, hashes = spec["format"], spec["sha256"]
        if not isinstance(hashes, dict) or spec["metric"] not in METRICS or type(spec["dim"]) is not int:
            raise ValueError("a value is of another type, or impossible")
    except OSError as error:
        raise InputError(f"{folder} is no index: {SPEC} cannot be read.", hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / SPEC} is damaged.", "Build the index again.") from error
    if version != FORMAT:
        raise InputError(f"{folder / SPEC} is of format {version}, expected {FORMAT}.", "Build the index again.")
    for name in (VECTORS, ROWS):
        if not (folder / name).is_file() or sha256(folder / name) != hashes.get(name):
            raise InputError(f"{folder / name} is missing or damaged: its hash is not the recorded one.", hint)
    return spec


def _usearch() -> Any:
    try:
        from usearch import index
    except ImportError as error:
        raise MissingExtraError("usearch", "neighbours") from error
    return index

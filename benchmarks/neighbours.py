"""Recall and speed of the index against exact search: ``python benchmarks/neighbours.py LIBRARY QUERIES [-n 1000]``.

Both are parquet files of ``molmv featurize``. The truth is a product of float32 matrices, all of them. Times are CPU
seconds of one thread, so that other work on the machine does not count.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import molmv
from molmv import vector_index
from molmv.neighbours import index_library
from molmv.vector_index import VectorIndex


def truth(library: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The k rows of the library of largest cosine, by brute force."""
    library = library / np.linalg.norm(library, axis=1, keepdims=True)
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    found = []
    for start in range(0, len(queries), 50):
        cosines = queries[start : start + 50] @ library.T
        best = np.argpartition(-cosines, k, axis=1)[:, :k]
        found.append(best)
    return np.concatenate(found)


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    """Mean share of the true neighbours that were found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("-n", type=int, default=1000, help="queries")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--index", type=Path, help="where to keep the index; used as it is if there is one")
    options = parser.parse_args()
    folder = options.index or Path(tempfile.mkdtemp()) / "index"
    if not (folder / vector_index.SPEC).exists():
        start = time.process_time()
        n, _ = index_library(options.library, folder, threads=1)
        print(f"built: {n:,} molecules, {n / (time.process_time() - start):,.0f}/s", flush=True)
    Q = molmv.load_embeddings(options.queries).dropna()[0][: options.n]
    expected = truth(molmv.load_embeddings(options.library).dropna()[0], Q, options.k)
    start = time.process_time()
    index = VectorIndex(folder)
    print(f"opened and verified in {time.process_time() - start:.1f} s")
    for expansion in (32, 64, 96, 128, 192):
        vector_index.EXPANSION_SEARCH = expansion
        index.search(Q, options.k, threads=1)  # pages in
        start = time.process_time()
        found, _ = index.search(Q, options.k, threads=1)
        seconds = time.process_time() - start
        print(f"expansion {expansion}: recall@{options.k} {recall(found, expected):.4f}, {len(Q) / seconds:,.0f}/s")
    start = time.process_time()
    found, _ = index.search(Q[:100], options.k, exact=True, threads=1)
    seconds = time.process_time() - start
    print(f"exact: recall@{options.k} {recall(found, expected[:100]):.4f}, {100 / seconds:,.1f}/s")


if __name__ == "__main__":
    main()

"""Is a file of usearch what it must be, before usearch follows its links without a look?

The file (format 2): rows and bytes of a vector, the vectors; a head of 64 bytes; sizes of the graph, the level of each
node, and the nodes. A node holds its key, its level, and for each level from 0 up a number of links and room for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Magic, major version; later kinds of the metric, of a number (float16), a key (uint64) and a link (uint32).
_MAGIC, _KINDS = b"usearch\x02\x00", {"cosine": b"c\x0c\x0e\x0f", "euclidean": b"e\x0c\x0e\x0f"}
_HEAD, _SIZES, _NODE, _LINK = 64, struct.Struct("<5Q"), 10, 4
_MOST_LINKS = 1024
_PIECE = 1 << 15  # nodes looked at together


def check_graph(path: Path, rows: int, dim: int, metric: str) -> None:
    """Compare every size in the file with the file, and every link with the nodes that there are.

    Args:
        path: of the file.
        rows: vectors that it must hold, under the keys 0 … rows - 1.
        dim: numbers of each.
        metric: ``cosine`` or ``euclidean``.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not such a file; says what is wrong.
    """
    if path.stat().st_size < 8:
        raise ValueError("it ends early")
    data = np.memmap(path, np.uint8, "r")
    at = 8 + 2 * dim * rows
    if struct.unpack("<2I", data[:8].tobytes()) != (rows, 2 * dim) or len(data) < at + _HEAD + _SIZES.size + 2 * rows:
        raise ValueError(f"it does not hold {rows} vectors of {dim} numbers")
    _check_head(data[at : at + _HEAD].tobytes(), rows, dim, metric)
    at += _HEAD
    size, links, base, top, entry = _SIZES.unpack(data[at : at + _SIZES.size].tobytes())
    if size != rows or not (0 < links <= _MOST_LINKS and 0 < base <= _MOST_LINKS):
        raise ValueError("the sizes of its graph are impossible")
    at += _SIZES.size
    if rows:
        levels = data[at : at + 2 * rows].view("<i2").astype(np.int64)
        _check_nodes(data, at + 2 * rows, levels, (base, links), top, entry)


def _check_head(head: bytes, rows: int, dim: int, metric: str) -> None:
    present, deleted, width, several = struct.unpack_from("<3Q?", head, 17)
    if not head.startswith(_MAGIC) or head[13:17] != _KINDS[metric]:
        raise ValueError("it is of another format or metric")
    if (present, deleted, width, several) != (rows, 0, dim, False):
        raise ValueError("its head does not fit its vectors")


def _check_nodes(
    data: np.ndarray, begin: int, levels: np.ndarray, links: tuple[int, int], top: int, entry: int
) -> None:
    base, upper = (_LINK * (1 + count) for count in links)
    if levels.min() < 0 or entry >= len(levels) or levels[entry] != top or levels.max() != top:
        raise ValueError("the levels of its graph are impossible")
    sizes = _NODE + base + upper * levels
    starts = begin + np.cumsum(sizes) - sizes
    if starts[-1] + sizes[-1] != len(data):
        raise ValueError("its graph does not end where the file does")
    keys = np.empty(len(levels), np.uint64)
    for piece in _pieces(np.arange(len(levels))):
        heads = _gather(data, starts[piece], _NODE)
        keys[piece] = np.ascontiguousarray(heads[:, :8]).view("<u8")[:, 0]
        if (np.ascontiguousarray(heads[:, 8:]).view("<i2")[:, 0] != levels[piece]).any():
            raise ValueError("a node has two levels")
        _check_links(_gather(data, starts[piece] + _NODE, base), levels, 0)
    if not np.array_equal(np.sort(keys), np.arange(len(keys))):
        raise ValueError("its keys are not those of its rows")
    for level in range(1, top + 1):
        for piece in _pieces(np.flatnonzero(levels >= level)):
            place = starts[piece] + _NODE + base + upper * (level - 1)
            _check_links(_gather(data, place, upper), levels, level)


def _check_links(lists: np.ndarray, levels: np.ndarray, level: int) -> None:
    """Lists of links ``(nodes, bytes)``: how many, and to which nodes, which must reach that level."""
    numbers = lists.view("<u4")
    counts, links = numbers[:, 0], numbers[:, 1:]
    if (counts > links.shape[1]).any():
        raise ValueError("a node has more links than room for them")
    used = links[np.arange(links.shape[1]) < counts[:, None]]
    if (used >= len(levels)).any() or (levels[used] < level).any():
        raise ValueError("a link leads to no node")


def _pieces(nodes: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(nodes), _PIECE):
        yield nodes[start : start + _PIECE]


def _gather(data: np.ndarray, starts: np.ndarray, size: int) -> np.ndarray:
    """Bytes ``(nodes, size)`` from each start on."""
    return np.lib.stride_tricks.sliding_window_view(data, size)[starts]

"""Frozen features of all rows, z-scored for each probe of a stack in its own way, and the two products of training.

A probe's first layer is nearly all of its work: forward ``X W``, backward ``Xᵀ G``. Fingerprints hold a few percent of
ones, and are kept sparse; with z-scores ``(X - m) / s`` the products are ``(X/s) W - (m/s) W`` and
``(X/s)ᵀ G - (m/s) Σ G``, the same numbers but for rounding, five times as fast at 2,048 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

SPARSE = 0.15
FARTHEST = 1e6  # standard deviations


class Batch(Protocol):
    """Some rows for each probe; valid until the next batch is taken."""

    def times(self, W: Float[Tensor, "probes d h"]) -> Float[Tensor, "probes b h"]:
        """The scaled rows times a matrix of each probe."""
        ...

    def across(self, G: Float[Tensor, "probes b h"], out: Float[Tensor, "probes d h"]) -> None:
        """The transposed scaled rows times a matrix of each probe, written to ``out``."""
        ...


class Features(Protocol):
    """One matrix, scaled for each probe.

    Attributes:
        rows: number of its rows.
        dim: number of its columns.
    """

    rows: int
    dim: int

    def take(self, rows: Int[Tensor, "probes b"]) -> Batch:
        """Some rows for each probe."""
        ...


def make_features(X: Float[np.ndarray, "n d"], fitted_on: Sequence[np.ndarray], sparse: bool | None = None) -> Features:
    """Features of all rows.

    Args:
        X: raw.
        fitted_on: for each probe the rows whose mean and standard deviation scale the features; one for all probes
            if there is only one.
        sparse: whether to skip zeros; None: where fewer than 15 % of the numbers are none.
    """
    if sparse is None:
        sparse = bool(np.count_nonzero(X) < SPARSE * X.size)
    return _Sparse(X, fitted_on) if sparse else _Dense(X, fitted_on)


def mean_and_scale(X: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, in double precision; 1 in place of a deviation of 0."""
    mean = sum(piece.sum(0, dtype=np.float64) for piece in _pieces(X)) / len(X)
    variance = sum(np.square(piece - mean).sum(0) for piece in _pieces(X)) / len(X)
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)


def z_scores(
    X: Float[np.ndarray, "n d"], mean: Float[np.ndarray, " d"], scale: Float[np.ndarray, " d"]
) -> Float32[np.ndarray, "n d"]:
    """Deviations from the mean; cut where a descriptor is 1e30 in one row, so that their squares stay finite."""
    scaled = np.empty(X.shape, dtype=np.float32)
    for piece, out in zip(_pieces(X), _pieces(scaled), strict=True):
        out[:] = ((piece - mean) / scale).clip(-FARTHEST, FARTHEST)
    return scaled


def _pieces(X: np.ndarray, rows: int = 256) -> Iterator[np.ndarray]:
    """Rows in pieces that stay in a processor's cache when they become doubles."""
    return (X[start : start + rows] for start in range(0, len(X), rows))


class _Dense:
    def __init__(self, X: np.ndarray, fitted_on: Sequence[np.ndarray]) -> None:
        self.rows, self.dim = X.shape
        copies = []
        for rows in fitted_on:
            mean, scale = mean_and_scale(X[rows])
            copies.append(torch.from_numpy(z_scores(X, mean, scale)))
        self._copies = torch.cat(copies)
        self._offset = torch.arange(len(copies))[:, None] * self.rows
        self._buffer = torch.empty(0)

    def take(self, rows: Tensor) -> Batch:
        # Into the same memory every time: fresh pages would cost more than the copying.
        if self._buffer.numel() < rows.numel() * self.dim:
            self._buffer = torch.empty(rows.numel() * self.dim)
        out = self._buffer[: rows.numel() * self.dim].view(rows.numel(), self.dim)
        torch.index_select(self._copies, 0, (rows + self._offset).view(-1), out=out)
        return _DenseBatch(out.view(*rows.shape, self.dim))


class _DenseBatch:
    def __init__(self, X: Tensor) -> None:
        self.X = X

    def times(self, W: Tensor) -> Tensor:
        return self.X @ W

    def across(self, G: Tensor, out: Tensor) -> None:
        torch.bmm(self.X.transpose(1, 2), G, out=out)


class _Sparse:
    def __init__(self, X: np.ndarray, fitted_on: Sequence[np.ndarray]) -> None:
        from scipy.sparse import csr_array, vstack

        self.rows, self.dim = X.shape
        raw, copies, shifts = csr_array(X.astype(np.float32)), [], []
        for rows in fitted_on:
            mean, scale = mean_and_scale(X[rows])
            shift = mean / scale
            deviations = (raw.data / scale[raw.indices] - shift[raw.indices]).clip(-FARTHEST, FARTHEST)
            values = (deviations + shift[raw.indices]).astype(np.float32)
            copies.append(csr_array((values, raw.indices, raw.indptr), shape=raw.shape))
            shifts.append(torch.from_numpy(shift.astype(np.float32)))
        self._copies, self._shift = vstack(copies, format="csr"), torch.stack(shifts)[:, None]
        self._offset = torch.arange(len(copies))[:, None] * self.rows

    def take(self, rows: Tensor) -> Batch:
        return _SparseBatch(self._copies[(rows + self._offset).view(-1).numpy()], len(rows), self._shift)


class _SparseBatch:
    """All probes' rows below each other; each probe has its own columns, so that one product serves all."""

    def __init__(self, X: Any, probes: int, shift: Float[Tensor, "probes_or_1 1 d"]) -> None:
        from scipy.sparse import csr_array

        self.probes, self.shift = probes, shift.expand(probes, -1, -1)
        counts = np.diff(X.indptr[:: X.shape[0] // probes])
        columns = X.indices + np.repeat(np.arange(probes, dtype=X.indices.dtype) * X.shape[1], counts)
        self.X = csr_array((X.data, columns, X.indptr), shape=(X.shape[0], X.shape[1] * probes))

    def times(self, W: Tensor) -> Tensor:
        columns, starts, values = (torch.from_numpy(a) for a in (self.X.indices, self.X.indptr[:-1], self.X.data))
        flat = embedding_bag(columns, W.flatten(0, 1), starts, mode="sum", per_sample_weights=values)
        return flat.view(self.probes, -1, W.shape[2]) - self.shift @ W

    def across(self, G: Tensor, out: Tensor) -> None:
        out.copy_(torch.from_numpy(self.X.T @ G.flatten(0, 1).numpy()).view_as(out))
        out.baddbmm_(self.shift.transpose(1, 2), G.sum(1, keepdim=True), alpha=-1)

"""Embeddings of inputs, computed once for each model: the key is the model's digest and the canonical spelling.

One folder a model under ``MOLMV_HOME/evaluate/``, with parts of at most :data:`PART` inputs. A run that stops loses
one part. An embedder is given the canonical SMILES, so that its vector is the same wherever the molecule comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt64

from molmv.atomic import replacing
from molmv.embedder import Embedder
from molmv.npz import Npz
from molmv.rows import row_keys
from molmv.weights import cache_folder

PART = 2048


class EmbeddingCache:
    """The vectors of one model.

    Args:
        embedder: the model.
        folder: where its parts are kept; by default under ``MOLMV_HOME``.
    """

    def __init__(self, embedder: Embedder, folder: Path | None = None) -> None:
        self.embedder = embedder
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(embedder.name).name)
        self.folder = (folder or cache_folder() / "evaluate") / f"{safe}-{embedder.digest[:16]}"

    def vectors(
        self,
        canonical: Sequence[str],
        progress: Callable[[int], None] = lambda rows: None,
        inputs: Sequence[Any] | None = None,
    ) -> Float32[np.ndarray, "n dim"]:
        """Vectors in the order of the inputs; NaN where the model refuses one.

        Args:
            canonical: canonical spellings, of molecules from :func:`molmv.molecules.canonicalise`.
            progress: called with the number of inputs embedded so far, those that were cached not counted.
            inputs: what the model is given, if not the canonical spellings.
        """
        keys, inputs = row_keys(canonical), canonical if inputs is None else inputs
        out = np.full((len(keys), self.embedder.dim), np.nan, dtype=np.float32)
        missing = np.ones(len(keys), dtype=bool)
        for path in sorted(self.folder.glob("*.npz")):
            self._take(path, keys, missing, out)
        todo = np.flatnonzero(missing)
        _, first = np.unique(keys[todo], return_index=True)
        unique = todo[np.sort(first)]
        for start in range(0, len(unique), PART):
            piece = unique[start : start + PART]
            X = self.embedder.embed(self.embedder.screen([inputs[i] for i in piece]))
            self._take(self._write(keys[piece], X), keys, missing, out)
            progress(start + len(piece))
        return out

    def keep(self, keys: UInt64[np.ndarray, " n"], X: Float32[np.ndarray, "n dim"]) -> None:
        """Vectors that were computed elsewhere, in a store say, under :func:`molmv.rows.row_keys` of their inputs."""
        self._write(keys, X)

    def _take(self, path: Path, keys: np.ndarray, missing: np.ndarray, out: np.ndarray) -> None:
        try:
            with Npz(path) as part:
                known, valid = part.array("keys"), part.array("valid")
                order = np.argsort(known)
                where = np.searchsorted(known, keys, sorter=order).clip(0, len(known) - 1)
                rows = order[where]
                hit = missing & (known[rows] == keys)
                if hit.any():
                    X = part.array("X")
                    out[hit] = np.where(valid[rows[hit], None], X[rows[hit]].astype(np.float32), np.nan)
                    missing[hit] = False
        except (OSError, ValueError, IndexError, TypeError):
            path.unlink(missing_ok=True)  # damaged: embedded again

    def _write(self, keys: np.ndarray, X: np.ndarray) -> Path:
        valid = np.isfinite(X).all(axis=1)
        clean = np.where(valid[:, None], X, 0)
        small = clean.astype(np.uint8, casting="unsafe") if clean.min() >= 0 and clean.max() <= 255 else None
        path = self.folder / f"{int(keys[0]):016x}-{len(keys)}.npz"
        with replacing(path, shared=True, parents=True) as temporary, temporary.open("wb") as file:
            if small is not None and (small == clean).all():
                np.savez_compressed(file, keys=keys, valid=valid, X=small)
            else:
                np.savez(file, keys=keys, valid=valid, X=clean)
        return path

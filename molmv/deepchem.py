"""Molecular embeddings as a featurizer of DeepChem, for its loaders and models."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from jaxtyping import Float32

from molmv.adapters.deepchem_model import import_deepchem
from molmv.embed_chunks import here, in_processes
from molmv.errors import InputError, RefusedRowsError
from molmv.featurizing import DEFAULT_MODEL
from molmv.models import load_embedder
from molmv.molecules import as_smiles
from molmv.table import Chunk

CHUNK = 2048
ON_INVALID = ("nan", "raise")


class MolmvFeaturizer(import_deepchem().feat.MolecularFeaturizer):  # type: ignore[misc]
    """Embeds molecules with a student or a teacher; one row of fixed width a molecule, always.

    Where DeepChem's featurizers give an empty array for a molecule that fails, and its loaders then drop the row, this
    one gives a row of NaN: rows do not shift. DeepChem's models cannot read NaN, so drop such rows knowingly.

    Args:
        model: name of a student or teacher, or a checkpoint folder.
        on_invalid: what becomes of a molecule that cannot be embedded: ``nan``, a row of NaN, or ``raise``.
        n_jobs: processes, each with the model; worth it from some ten thousand molecules on. A script that asks for
            more than one needs ``if __name__ == "__main__":``, as all that start processes do.
        progress: called with the molecules done and all of them, after every chunk.
        device: ``auto``, ``cpu``, ``cuda``, ….

    Attributes:
        dim: width of a row.

    Raises:
        InputError: an impossible parameter.
        UnknownNameError: no model of that name.
        MissingExtraError: DeepChem is not installed.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        on_invalid: str = "nan",
        n_jobs: int = 1,
        progress: Callable[[int, int], None] | None = None,
        device: str = "auto",
    ) -> None:
        super().__init__()
        if on_invalid not in ON_INVALID:
            raise InputError(f"on_invalid={on_invalid!r} is not possible.", f"Use {' or '.join(ON_INVALID)}.")
        if n_jobs < 1 and n_jobs != -1:
            raise InputError(f"{n_jobs} processes are impossible.", "Give at least 1, or -1 for all cores.")
        self.model, self.on_invalid, self.device = str(model), on_invalid, device
        self.n_jobs, self.progress = os.cpu_count() or 1 if n_jobs == -1 else n_jobs, progress
        self._embedder = load_embedder(self.model, device)
        self.dim = self._embedder.dim

    def featurize(self, datapoints: Any, log_every_n: int = 1000, **kwargs: Any) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of some molecules.

        Args:
            datapoints: SMILES or RDKit molecules, or one of them.
            log_every_n: of DeepChem; not used, see ``progress``.
            **kwargs: of DeepChem; not used.

        Raises:
            RefusedRowsError: a row cannot be embedded and ``on_invalid`` is ``raise``.
        """
        one = isinstance(datapoints, str) or hasattr(datapoints, "GetNumAtoms")
        smiles = as_smiles([datapoints] if one else list(datapoints))
        chunks = [Chunk(i, smiles[i : i + CHUNK], None, {}) for i in range(0, len(smiles), CHUNK)]
        several = self.n_jobs > 1 and len(chunks) > 1
        vectors = [np.empty((0, self.dim), np.float32)]
        with (
            in_processes(self.model, self.device, None, self.n_jobs) if several else nullcontext(here(self._embedder))
        ) as embed:
            for chunk, rows, X, _ in embed(chunks):
                if self.on_invalid == "raise" and not rows.valid.all():
                    bad = int(np.flatnonzero(~rows.valid)[0])
                    raise RefusedRowsError(
                        f"Row {chunk.start + bad} cannot be embedded: {rows.reason[bad]}.",
                        "Drop it, or use on_invalid='nan'.",
                    )
                vectors.append(X)
                if self.progress:
                    self.progress(chunk.start + len(chunk), len(smiles))
        return np.concatenate(vectors)

    def __str__(self) -> str:
        """Names folders of DeepChem's cache: other weights are another featurizer."""
        return f"{type(self).__name__}_{self._embedder.name}_{self._embedder.digest[:12]}"

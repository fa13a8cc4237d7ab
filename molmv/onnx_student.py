"""An exported student at work: SMILES in, embeddings out, by onnxruntime and RDKit alone. No torch is needed.

A file of ``molmv export`` is an ordinary ONNX model. Its inputs (int64) describe the disjoint union of some molecules:

==============  ============  ========================================================================================
``atoms``       (atoms, 8)    categories of each atom, columns as in :data:`molmv.graphs.ATOM_FIELDS`
``source``      (edges,)      the atom that each directed edge comes from; every bond is two edges
``target``      (edges,)      the atom that it leads to
``bond_codes``  (edges,)      category of its bond, see :func:`molmv.graphs.bond_fields`
``graph``       (atoms,)      the molecule of each atom, ascending
``sizes``       (molecules,)  atoms of each molecule
==============  ============  ========================================================================================

Its output ``embeddings`` is (molecules, dim), float32. Its metadata, under the key ``molmv``, is a JSON object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from molmv import heartbeat, molecules
from molmv.documents import parse_json
from molmv.errors import CheckpointError, InputError, MissingExtraError
from molmv.graphs import ATOM_FIELDS, BOND_FIELDS, GraphBatch, featurise_rdkit
from molmv.hashing import sha256
from molmv.rows import Rows

FORMAT = 1
METADATA = "molmv"
INPUTS = ("atoms", "source", "target", "bond_codes", "graph", "sizes")
OUTPUT = "embeddings"
DEFAULT_BATCH = 64
# What the network was trained on: a featuriser with other categories would give numbers without meaning.
FIELDS = {"atom": ATOM_FIELDS, "bond": BOND_FIELDS}


class OnnxStudent:
    """An :class:`~molmv.embedder.Embedder` made of a file that ``molmv export`` wrote.

    Args:
        path: the file.
        threads: of onnxruntime; 0 = as many as it likes.
        batch_size: molecules in one pass; changes speed, never results beyond rounding.

    Attributes:
        metadata: what the file says of itself: ``name``, ``dim``, ``student`` (SHA-256 of the weights that were
            exported), ``parity`` (how far it was found from them), ``provenance``, ``versions``.

    Raises:
        CheckpointError: no such file, not one of ours, or of another version.
        MissingExtraError: onnxruntime is not installed.

    Example:
        >>> student = OnnxStudent("student.onnx")  # doctest: +SKIP
        >>> student(["CCO", "not a molecule"]).shape  # doctest: +SKIP
        (2, 512)
    """

    def __init__(self, path: str | Path, threads: int = 0, batch_size: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "onnx") from error
        if batch_size is not None and batch_size < 1:
            raise InputError(f"Expected a batch of at least one molecule, got {batch_size}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            found = self._session.get_modelmeta().custom_metadata_map.get(METADATA, "{}")
        except Exception as error:  # onnxruntime's own kinds share no base
            why = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path} cannot be opened as an ONNX model: {why}", "Export it again.") from error
        try:
            self.metadata: dict[str, Any] = parse_json(found)
            if self.metadata.get("format") != FORMAT or self.metadata.get("fields") != FIELDS:
                raise ValueError("another format")
            self.name, self.dim = str(self.metadata["name"]), int(self.metadata["dim"])
            self.digest, self.provenance = sha256(Path(path)), dict(self.metadata["provenance"])
            inputs = {one.name for one in self._session.get_inputs()}
            if inputs != set(INPUTS) or not 0 < self.dim == self._session.get_outputs()[0].shape[-1]:
                raise ValueError("other inputs or outputs")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CheckpointError(
                f"{path} is not an export of this version of molmv.", "Write it with molmv export."
            ) from error
        self.batch_size = batch_size or DEFAULT_BATCH

    def __call__(self, smiles: Sequence[Any]) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of some SMILES, row by row; NaN where there is no molecule (:meth:`embed` says why)."""
        return self.embed(self.screen(smiles))

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """See :func:`molmv.molecules.screen`."""
        return molecules.screen(values, problems)

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        graphs = featurise_rdkit(rows)
        out = np.full((len(rows), self.dim), np.nan, dtype=np.float32)
        order = np.argsort(graphs.sizes, kind="stable")  # molecules of one size together
        order = order[graphs.sizes[order] > 0]
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            out[batch] = self._run(feeds(graphs.batch(batch)))
            heartbeat.beat()
        return out

    def _run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            found: np.ndarray = self._session.run([OUTPUT], inputs)[0]
        except Exception as error:  # onnxruntime's own kinds share no base
            why = " ".join(str(error).split())[:200]
            raise CheckpointError(f"The ONNX model {self.name!r} fails: {why}", "Export it again.") from error
        if found.shape != (len(inputs["sizes"]), self.dim):
            raise CheckpointError(f"The ONNX model {self.name!r} gave an array of shape {found.shape}.")
        return found


def feeds(batch: GraphBatch) -> dict[str, np.ndarray]:
    """The inputs of the network, by name."""
    sizes = np.bincount(batch.graph, minlength=batch.num_graphs)
    arrays = (batch.atoms, batch.source, batch.target, batch.bond_codes, batch.graph, sizes)
    return {name: array.astype(np.int64) for name, array in zip(INPUTS, arrays, strict=True)}

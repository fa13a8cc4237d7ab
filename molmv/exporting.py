"""From a student to one ONNX file, through the network's own ``forward``, and how far the two are apart."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import molmv
from molmv.atomic import replacing
from molmv.errors import CheckpointError, MissingExtraError
from molmv.graphs import featurise
from molmv.molecules import screen
from molmv.onnx_student import FIELDS, FORMAT, INPUTS, METADATA, OUTPUT, OnnxStudent, feeds
from molmv.student.embed import Student
from molmv.student.gine import GraphTensors

OPSET = 18
TOLERANCE = 1e-4
# As segment_reduce and as scatter_reduce call them.
_REDUCTIONS = {"max": "amax", "min": "amin", "sum": "sum"}
# Molecules that the exporter runs the network on: three, so that no size is one, which it would take for a constant.
_EXAMPLE = ("CCO", "C[C@H](N)C(=O)O", "c1ccccc1/C=C/[O-]")


def export_onnx(
    student: Student, path: Path, verify_on: Sequence[str | None] = (), overwrite: bool = False
) -> dict[str, Any] | None:
    """Write a student as an ONNX model, which :class:`molmv.onnx_student.OnnxStudent` runs without torch.

    Args:
        student: on the CPU.
        path: the file.
        verify_on: SMILES whose embeddings by both are compared; the result goes into the file's metadata.
        overwrite: replace the file.

    Returns:
        What was found: ``molecules``, ``max_abs_difference``, ``tolerance``; None if nothing was compared.

    Raises:
        CheckpointError: the two differ by more than :data:`TOLERANCE`; nothing is written.
        MissingExtraError: a package of the extra ``onnx`` is not installed.
        OutputError: the file exists, or cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "onnx") from error
    with replacing(path, overwrite) as temporary:
        model = _translate(student)
        metadata: dict[str, Any] = {
            "format": FORMAT,
            "name": student.name,
            "dim": student.dim,
            "student": student.digest,
            "fields": FIELDS,
            "parity": None,
            "provenance": student.provenance,
            "versions": {"molmv": molmv.__version__, **{name: version(name) for name in ("torch", "onnx", "rdkit")}},
        }
        _write(model, metadata, temporary)
        if verify_on:
            metadata["parity"] = _compare(student, OnnxStudent(temporary), verify_on)
            _write(model, metadata, temporary)
        onnx.checker.check_model(str(temporary))
    return metadata["parity"]


def _translate(student: Student) -> Any:
    if student.modality != "molecule":
        raise CheckpointError(f"Student {student.name!r} reads {student.modality}s; only molecular ones become ONNX.")
    batch = featurise(screen(_EXAMPLE)).batch(np.arange(len(_EXAMPLE)))
    example = tuple(torch.from_numpy(array) for array in feeds(batch).values())
    free = {name: torch.export.Dim(name) for name in ("atoms", "edges", "graphs")}
    axes = ("atoms", "edges", "edges", "edges", "atoms", "graphs")
    with _quiet():
        program = torch.onnx.export(
            _Exported(student.encoder).eval(),
            example,
            input_names=INPUTS,
            output_names=[OUTPUT],
            dynamic_shapes=tuple({0: free[axis]} for axis in axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise CheckpointError(f"Student {student.name!r}: torch gave no ONNX program.")
    return program.model_proto


def _write(model: Any, metadata: dict[str, Any], path: Path) -> None:
    import onnx

    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata, sort_keys=True)})
    path.write_bytes(model.SerializeToString())


def _compare(student: Student, exported: OnnxStudent, smiles: Sequence[str | None]) -> dict[str, Any]:
    """How far the two are apart, featurisers included.

    Raises:
        CheckpointError: too far, or they refuse other rows.
    """
    ours, theirs = screen(smiles), screen(smiles)
    X, Y = student.embed(ours), exported.embed(theirs)
    if ours.status != theirs.status or not ours.valid.any():
        raise CheckpointError(f"Student {student.name!r} and its export refuse different molecules, or all of them.")
    difference = float(np.abs(X - Y)[ours.valid].max())
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"Student {student.name!r} and its export differ by {difference:.1e}; at most {TOLERANCE:.0e} is allowed.",
            "Export it with the versions of constraints.txt.",
        )
    return {"molecules": int(ours.valid.sum()), "max_abs_difference": difference, "tolerance": TOLERANCE}


class _Exported(nn.Module):
    """The encoder behind plain tensors."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, atoms: Tensor, source: Tensor, target: Tensor, bond_codes: Tensor, graph: Tensor, sizes: Tensor
    ) -> Tensor:
        with _InOnnxWords(graph):
            embeddings: Tensor = self.encoder(GraphTensors(atoms, source, target, bond_codes, graph, sizes.shape[0]))
            return embeddings


class _InOnnxWords(TorchFunctionMode):
    """Says by ``ScatterElements``, with the same result, what ONNX has no operator for, or one that errs.

    The exporter writes ``index_add`` as ``ScatterND``. Threads of onnxruntime then lose sums where an index repeats
    (its issue 18048).

    Args:
        graph: the graph of each atom.
    """

    def __init__(self, graph: Tensor) -> None:
        super().__init__()
        self.graph = graph

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.index_add, torch.index_add):
            data, dim, index, values = args
            shape = [-1 if i == dim else 1 for i in range(values.ndim)]
            return data.scatter_add(dim, index.reshape(shape).expand_as(values), values)
        if func is torch.bincount:
            values = args[0]
            return values.new_zeros(kwargs["minlength"]).scatter_add(0, values, torch.ones_like(values))
        if func is torch.segment_reduce:  # over the atoms of each graph
            data, reduction = args
            start = data.new_full((kwargs["lengths"].shape[0], data.shape[1]), kwargs["initial"])
            return start.scatter_reduce(0, self.graph[:, None].expand_as(data), data, _REDUCTIONS[reduction])
        return func(*args, **kwargs)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of operators of other packages and of its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

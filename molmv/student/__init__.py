"""Students: small networks that turn an input into one embedding. One table says which kinds there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float32

from molmv.errors import ConfigError
from molmv.rows import Rows

if TYPE_CHECKING:
    from torch import nn


class Runner(Protocol):
    """A trained network with what turns rows into its inputs.

    Attributes:
        encoder: the network; its ``config.embedding`` is the width of its output.
    """

    encoder: Any

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        ...


@dataclass(frozen=True)
class Kind:
    """Where the parts of a kind of student are, as ``module:attribute``; imported when first asked for.

    Attributes:
        modality: what it reads.
        network: from sizes to a fresh network, see :meth:`StudentKind.make`.
        inputs: from a corpus file and sizes to its inputs, see :class:`molmv.distill.data.Inputs`.
        runs: class made of ``(checkpoint, device, batch_size)``, a :class:`Runner`.
    """

    modality: str
    network: str
    inputs: str
    runs: str

    def runner(self, *arguments: Any) -> Runner:
        """The :class:`Runner` of a checkpoint."""
        made: Runner = _attribute(self.runs)(*arguments)
        return made


KINDS = {
    "gine": Kind(
        "molecule",
        "molmv.student.gine:make_encoder",
        "molmv.student.inputs:read_corpus",
        "molmv.student.graph_runner:GraphRunner",
    ),
    "vision": Kind(
        "image",
        "molmv.student.vision:make_encoder",
        "molmv.student.vision:read_corpus",
        "molmv.student.vision:VisionRunner",
    ),
    "static_text": Kind(
        "text",
        "molmv.student.static_text:make_encoder",
        "molmv.student.text_inputs:read_corpus",
        "molmv.student.text_runners:StaticTextRunner",
    ),
    "text": Kind(
        "text",
        "molmv.student.text:make_encoder",
        "molmv.student.text_inputs:read_corpus",
        "molmv.student.text_runners:TextRunner",
    ),
}


@dataclass(frozen=True)
class StudentKind:
    """A kind of student, with its sizes.

    Attributes:
        kind: its name in :data:`KINDS`.
        sizes: fields of its config.
    """

    kind: str
    sizes: Mapping[str, Any]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> StudentKind:
        """From the ``[student]`` table of a config.

        Raises:
            ConfigError: an unknown kind.
        """
        sizes = dict(table)
        kind = sizes.pop("kind", None)
        if kind not in KINDS:
            raise ConfigError(f"student.kind: expected one of {', '.join(KINDS)}, found {kind!r}.")
        return cls(kind, sizes)

    def make(self) -> nn.Module:
        """A fresh network with an attribute ``config`` whose ``embedding`` is the width of its output.

        Raises:
            ConfigError: an unknown or impossible size.
        """
        network: nn.Module = _attribute(KINDS[self.kind].network)(self.sizes)
        return network

    def read_corpus(self, path: Path) -> Any:
        """The inputs of every row of a corpus file."""
        return _attribute(KINDS[self.kind].inputs)(path, self.sizes)


def _attribute(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)

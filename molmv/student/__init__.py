"""Students: small networks that turn an input into one embedding. One table says which kinds there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

# kind -> (module:function from sizes to a network, module:function from a corpus file and sizes to its inputs)
KINDS = {"gine": ("molmv.student.gine:make_encoder", "molmv.student.inputs:read_corpus")}


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
        network: nn.Module = _function(KINDS[self.kind][0])(self.sizes)
        return network

    def read_corpus(self, path: Path) -> Any:
        """The inputs of every row of a corpus file."""
        return _function(KINDS[self.kind][1])(path, self.sizes)


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)

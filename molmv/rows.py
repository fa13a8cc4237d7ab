"""Rows never shift: one entry an input row, with a status, and a reason for each row that is not simply ok."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt64

OK = "ok"
EMPTY = "empty"
INVALID = "invalid"
TOO_LARGE = "too_large"
ERROR = "error"
TRUNCATED = "truncated"
TIMEOUT = "timeout"
CRASHED = "crashed"
STATUSES = (OK, EMPTY, INVALID, TOO_LARGE, ERROR, TRUNCATED, TIMEOUT, CRASHED)
QUARANTINED = (TIMEOUT, CRASHED)  # these rows stalled or killed the process that embedded them
VALID = (OK, TRUNCATED)  # these rows have a vector; that of a truncated one was made from a part of the input


@dataclass
class Rows:
    """One entry an input row: what to embed, or why there is none.

    Attributes:
        inputs: what to embed (a SMILES or a text without surrounding blanks, the bytes or the path of an image);
            ``""`` for a refused row.
        status: one of :data:`STATUSES` a row.
        reason: ``""`` for a row that is ok, else a sentence for the user.
    """

    inputs: list[Any]
    status: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, one after the other."""
        return cls(*([text for part in parts for text in getattr(part, name)] for name in cls.__dataclass_fields__))

    def refuse(self, row: int, status: str, reason: str) -> None:
        """Mark a row as refused, keeping its place."""
        self.inputs[row], self.status[row], self.reason[row] = "", status, reason

    def mark(self, row: int, status: str, reason: str) -> None:
        """Say something of a row that keeps its vector."""
        self.status[row], self.reason[row] = status, reason

    @property
    def valid(self) -> Bool[np.ndarray, " n"]:
        """True where the row is good: it has, or can be given, a vector."""
        return np.array([s in VALID for s in self.status], dtype=bool)

    @property
    def good(self) -> list[int]:
        """Positions of the good rows."""
        return [i for i, s in enumerate(self.status) if s in VALID]


def row_keys(canonical: Sequence[str]) -> UInt64[np.ndarray, " n"]:
    """A 64-bit BLAKE2b hash of each input as its modality spells it canonically; 0 for a refused row (``""``).

    Of molecules this is no InChIKey: that is the same for 2-pyridone and 2-hydroxypyridine.
    """
    digests = (hashlib.blake2b(s.encode(), digest_size=8).digest() if s else bytes(8) for s in canonical)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)

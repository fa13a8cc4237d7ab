"""Rows never shift: one entry an input row, with a status, and a reason for each row that is not simply ok."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

OK = "ok"
EMPTY = "empty"
INVALID = "invalid"
TOO_LARGE = "too_large"
ERROR = "error"
TRUNCATED = "truncated"
STATUSES = (OK, EMPTY, INVALID, TOO_LARGE, ERROR, TRUNCATED)
VALID = (OK, TRUNCATED)  # these rows have a vector; that of a truncated one was made from a part of the molecule


@dataclass
class Rows:
    """One entry an input row: what to embed, or why there is none.

    Attributes:
        inputs: what to embed (a SMILES, without surrounding blanks); ``""`` for a refused row.
        status: one of :data:`STATUSES` a row.
        reason: ``""`` for a row that is ok, else a sentence for the user.
    """

    inputs: list[str]
    status: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.inputs)

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

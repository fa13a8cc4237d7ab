"""What everything that turns inputs into vectors looks like from outside: teachers and students alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from molmv.rows import Rows


@runtime_checkable
class Embedder(Protocol):
    """Inputs in, one vector a row out. Teachers and students satisfy it by shape.

    Attributes:
        name: how users call it.
        dim: width of its vectors.
        digest: SHA-256 (hex) of whatever decides its vectors: weights, or name and versions where it has none.
        modality: name of what it reads (:mod:`molmv.modality`); one without this attribute reads molecules.
        provenance: what a file of its vectors should remember (source, licence, versions); JSON-serialisable.
    """

    name: str
    dim: int
    digest: str
    provenance: dict[str, Any]

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """Refuse what this modality refuses unseen (missing, blank, …); one entry a value."""
        ...

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Vectors of all rows, in order; NaN where refused.

        Args:
            rows: changed in place: rows that cannot be embedded get a status and a reason.
        """
        ...

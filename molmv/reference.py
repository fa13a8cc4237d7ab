"""What a teacher said of some inputs on the day its card was made: a digest of each vector, small and readable.

:mod:`molmv.reference_inputs` has the inputs, ``teachers/reference/<teacher>.json`` one line for each of them: the
length of its vector x after y = asinh(x), the first values of x, and eight dot products of y with fixed cosines.
asinh leaves small numbers as they are and takes large ones by their logarithm, so that one column of 1e20 does not
hide the others. A change of x by a share e of its length moves the dot products by about e of that length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molmv.atomic import replacing
from molmv.cards import TeacherCard, card_folder
from molmv.documents import read_json
from molmv.errors import InputError

TOLERANCE = 1e-4
FIRST, PROJECTIONS, DIGITS = 8, 8, 8


@dataclass(frozen=True)
class Digest:
    """A vector x of any width in a few numbers.

    Attributes:
        norm: length of y = asinh(x).
        first: the first eight values of x.
        projection: eight dot products of y with :func:`directions`.
    """

    norm: float
    first: tuple[float, ...]
    projection: tuple[float, ...]

    @classmethod
    def of(cls, vector: Float[np.ndarray, " dim"]) -> Digest:
        """The digest of a finite vector."""
        x = np.asarray(vector, dtype=np.float64)
        y = np.arcsinh(x)
        return cls(
            _rounded(np.linalg.norm(y)),
            tuple(map(_rounded, x[:FIRST])),
            tuple(map(_rounded, directions(len(x)) @ y)),
        )

    def difference(self, other: Digest) -> float:
        """Largest difference of length or dot product, as a share of the other's length."""
        mine, theirs = np.array([self.norm, *self.projection]), np.array([other.norm, *other.projection])
        return float(np.abs(mine - theirs).max() / max(other.norm, 1e-9))


@dataclass(frozen=True)
class Reference:
    """What a teacher said.

    Attributes:
        dim: width of its vectors.
        versions: of the packages that computed them.
        inputs: name of an input -> its digest, or None if the teacher refused it.
        tolerance: largest :meth:`Digest.difference` that another machine may make. Where a teacher needs more than
            the default it is written into the file by hand, and stays when that is updated.
    """

    dim: int
    versions: Mapping[str, str]
    inputs: Mapping[str, Digest | None]
    tolerance: float = TOLERANCE


def directions(dim: int) -> Float[np.ndarray, "8 dim"]:
    """Fixed directions, about orthogonal and of length 1, the same everywhere: cosines with unrelated steps."""
    steps = np.sqrt([2, 3, 5, 7, 11, 13, 17, 19])[:PROJECTIONS, None]
    return np.cos(steps * (1 + np.arange(dim)) * np.pi) * np.sqrt(2 / dim)


def reference_path(card: TeacherCard) -> Path:
    """Where the reference of a card lies: in the folder ``reference`` beside it."""
    folder = card.path.parent if card.path else card_folder()
    return folder / "reference" / f"{card.name.replace(':', '-')}.json"


def read_reference(card: TeacherCard) -> Reference | None:
    """The stored reference of a teacher; None if there is none.

    Raises:
        InputError: the file is damaged.
    """
    path = reference_path(card)
    if not path.is_file():
        return None
    try:
        table = read_json(path)
        found = {name: None if row is None else _digest(row) for name, row in table["inputs"].items()}
        return Reference(table["dim"], table["versions"], found, table["tolerance"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a reference: {error}.", "Write it again with: molmv teachers check NAME --update"
        ) from error


def write_reference(card: TeacherCard, reference: Reference) -> Path:
    """Store the reference of a teacher, one line an input; returns where."""
    path = reference_path(card)
    rows = [f"  {json.dumps(name)}: {json.dumps(d and asdict(d))}" for name, d in reference.inputs.items()]
    head = [f"{json.dumps(key)}: {json.dumps(getattr(reference, key))}" for key in ("dim", "tolerance", "versions")]
    text = "{\n " + ",\n ".join([*head, '"inputs": {']) + "\n" + ",\n".join(rows) + "\n }\n}\n"
    with replacing(path, parents=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _digest(row: Mapping[str, Any]) -> Digest:
    return Digest(row["norm"], tuple(row["first"]), tuple(row["projection"]))


def _rounded(value: Any) -> float:
    return float(f"{value:.{DIGITS}g}")

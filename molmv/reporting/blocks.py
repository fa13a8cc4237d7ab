"""What a page is made of; plain values, which :mod:`molmv.reporting.page` alone turns into HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Cells = Sequence[Sequence[object]]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Numbers for people: shown at once, or behind a line to open."""

    title: str
    header: Sequence[str]
    rows: Cells
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture of numbers, with the numbers themselves for those who cannot see it.

    Attributes:
        spec: Vega-Lite, from :func:`molmv.plots.specification`.
        table: the same in numbers.
        wide: needs the whole width of the page.
    """

    title: str
    spec: dict[str, Any]
    table: Table
    wide: bool = False


@dataclass(frozen=True)
class Map:
    """Molecules in the plane.

    Attributes:
        spec: Vega-Lite with the parameters ``layout``, ``colour`` and ``chosen``.
        layouts: parameter value -> how people call it.
        colours: parameter value -> how people call it.
        molecules: for each point ``row``, ``name``, ``smiles``, ``values`` (one a colour) and ``near`` (points).
        pictures: SVG of each point, ``""`` where there is none.
    """

    spec: dict[str, Any]
    layouts: dict[str, str]
    colours: dict[str, str]
    molecules: Sequence[dict[str, Any]]
    pictures: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Rows of drawn molecules: a query and its nearest ones.

    Attributes:
        rows: of each row its pictures: (SVG, name, what stands below).
    """

    title: str
    rows: Sequence[Sequence[tuple[str, str, str]]]


Block = Text | Table | Chart | Map | Gallery


@dataclass(frozen=True)
class Section:
    """A headed part of the page."""

    title: str
    blocks: list[Block] = field(default_factory=list)

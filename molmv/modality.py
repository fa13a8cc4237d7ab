"""What kind of thing is embedded: molecules, texts, images, or what a package of yours registers.

A modality is one record of functions. Teachers, tables, students and evaluations ask it what a row is; losses,
densities and training never do. A fourth one needs no change here: an entry point of the group ``molmv.modalities``
names its record (``docs/modalities.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv.errors import UnknownNameError

if TYPE_CHECKING:
    from molmv.rows import Rows

GROUP = "molmv.modalities"
#: name -> record, as "module:attribute"; each file is imported when it is first asked for.
KNOWN = {"molecule": "molmv.molecules:MOLECULE", "text": "molmv.texts:TEXT", "image": "molmv.images:IMAGE"}


def _no(text: str) -> bool:
    return False


def _themselves(canonical: Sequence[str]) -> list[str]:
    return list(canonical)


@dataclass(frozen=True)
class Modality:
    """How rows of one kind are found, refused, read and told apart.

    Attributes:
        name: of one of them, as a card's ``modality`` says it and as messages count them: ``molecule``.
        columns: names, in lower case, by which a table's column is found; the first is the column's name in files of
            embeddings.
        screen: ``(values, problems) -> Rows``: one row a value, refused where no parser is needed to tell; ``problems``
            are rows that the file reader found broken, with the reason.
        parse: ``rows -> list``: what an adapter can be given (RDKit molecules, normalised strings, decoded images),
            None where a row is refused; refuses in place.
        canonical: ``parsed -> list[str]``: one spelling for all inputs that are the same thing, ``""`` for None. Rows
            are joined by hashes of it.
        what: how messages call the value of a cell; the name if empty.
        extensions: ending of a file -> how it is read beside csv, tsv and parquet: ``lines`` (one input a line) or
            ``smi`` (an input, blanks, its name).
        recognises: whether a text without a header is surely an input.
        undecodable: what becomes of bytes that are no text: ``strict`` refuses the file, ``surrogateescape`` leaves
            them to :attr:`screen`, which then refuses their rows only.
        in_file: for inputs that are whole files: what a path in a table stands for, given the folder that it is
            relative to. Such inputs may also lie in a folder, or as bytes in a column of parquet.
        rows: how many are read and embedded at a time, at most.
        packages: whose versions decide what an input means.
        quiet: holds back what the parser would print.
        skeletons: ``canonical -> list[str]``: what near-duplicates share.
        spells: whether the canonical spelling is itself an input; of an image it is a hash.
    """

    name: str
    columns: tuple[str, ...]
    screen: Callable[[Sequence[Any], dict[int, str] | None], Rows]
    parse: Callable[[Rows], list[Any]]
    canonical: Callable[[Sequence[Any]], list[str]]
    what: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)
    recognises: Callable[[str], bool] = _no
    undecodable: str = "strict"
    in_file: Callable[[str, Path], Any] | None = None
    rows: int = 8192
    packages: tuple[str, ...] = ()
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext
    skeletons: Callable[[Sequence[str]], list[str]] = _themselves
    spells: bool = True

    @property
    def noun(self) -> str:
        """How messages call the value of a cell."""
        return self.what or self.name


def of(name: str) -> Modality:
    """The modality of that name, of molmv or of an installed package.

    Raises:
        UnknownNameError: there is none.
    """
    if name in KNOWN:
        module, _, attribute = KNOWN[name].partition(":")
        found: Modality = getattr(import_module(module), attribute)
        return found
    for point in entry_points(group=GROUP, name=name):
        found = point.load()
        return found
    raise UnknownNameError(
        f"No modality is called {name!r}.",
        f"Known: {', '.join(KNOWN)}; others come from packages with an entry point in group {GROUP}.",
    )


def is_known(name: str) -> bool:
    """Whether there is a modality of that name; nothing is imported."""
    return name in KNOWN or bool(entry_points(group=GROUP, name=name))


def read_by(embedder: Any) -> Modality:
    """What an embedder reads: the modality that its attribute ``modality`` names, molecules if it has none."""
    return of(getattr(embedder, "modality", "molecule"))

"""From a path to parts of the page: what kind of run it is, and what there is to show of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from molmv.embeddings import MANIFEST
from molmv.errors import InputError
from molmv.evaluate.protocols import PROTOCOLS
from molmv.reporting.blocks import Section


@dataclass(frozen=True)
class Options:
    """See :func:`molmv.reporting.writing.report`."""

    table: Path | None
    corpus: Path | None
    stores: Path | None
    molecules: int
    tsne: bool
    seed: int


def sections_of(path: Path, options: Options) -> list[Section]:
    """The sections about one path.

    Raises:
        InputError: it is nothing that can be reported on.
    """
    return _kind(path)(path, options)


def _kind(path: Path) -> Callable[[Path, Options], list[Section]]:
    from molmv.reporting import of_distillation, of_embeddings, of_evaluation, of_fit, of_stores

    if path.is_file():
        return of_embeddings.sections
    if (path / "student" / "config.json").is_file() or (path / "log").is_dir():
        return of_distillation.sections
    if (path / of_fit.REPORT / "rows.csv").is_file():
        return of_fit.sections
    if any(path.glob(f"*/{MANIFEST}")):
        return of_stores.sections
    if any((path / f"{protocol}.csv").is_file() for protocol in PROTOCOLS):
        return of_evaluation.sections
    raise InputError(
        f"{path} is nothing that molmv can report on." if path.exists() else f"There is no {path}.",
        "Give a file of embeddings, or a folder of a distillation, of stores, of evaluations, or of a fit.",
    )

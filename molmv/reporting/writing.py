"""The verb: what some runs left behind in, one page out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import molmv
from molmv.atomic import check_writable, replacing
from molmv.errors import InputError, MissingExtraError
from molmv.reporting.blocks import Section
from molmv.reporting.page import render
from molmv.reporting.sections import Options, sections_of

MOLECULES = 2000


def report(
    runs: str | Path | Sequence[str | Path],
    output: str | Path = "report.html",
    *,
    table: str | Path | None = None,
    corpus: str | Path | None = None,
    stores: str | Path | None = None,
    molecules: int = MOLECULES,
    tsne: bool = True,
    seed: int = 0,
    overwrite: bool = True,
    progress: Callable[[int, float | None], None] = lambda done, fraction: None,
) -> Path:
    """Write one self-contained page; it needs no network and no other file.

    Args:
        runs: files of embeddings, folders of distillations, of stores or of evaluations, in any mixture.
        output: the page.
        table: a csv or parquet file whose rows are those of the embeddings: its columns of numbers become colours.
        corpus: where the corpus of a distillation is now, if it was moved.
        stores: likewise, the folder of its stores.
        molecules: on a map, at most; a random choice of more.
        tsne: whether maps offer t-SNE too (about half a minute for 2,000 molecules).
        seed: of what is random.
        overwrite: whether the page may exist.
        progress: called with the runs done and the fraction of them.

    Raises:
        InputError: a path that is none of these, or a damaged file.
        StoreError, CheckpointError: a damaged store or student.
        OutputError: the page cannot be written, or is there and ``overwrite`` is not set.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    paths = [Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)]
    out = Path(output)
    if not paths:
        raise InputError("There is nothing to report on.", "Name a file of embeddings, or the folder of a run.")
    if molecules < 2:
        raise InputError(f"Expected at least two molecules for a map, got {molecules}.")
    check_writable(out, overwrite)
    _need_extras()
    options = Options(_path(table), _path(corpus), _path(stores), molecules, tsne, seed)
    sections: list[Section] = []
    for done, path in enumerate(paths):
        progress(done, done / len(paths))
        sections += sections_of(path, options)
    progress(len(paths), 1.0)
    title = "molmv: " + ", ".join(path.name or str(path) for path in paths)
    page = render(title, sections, f"Made by molmv {molmv.__version__}. This page loads nothing from a network.")
    with replacing(out, overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _need_extras() -> None:
    for package in ("altair", "sklearn", "vl_convert"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError(package, "evaluate") from error

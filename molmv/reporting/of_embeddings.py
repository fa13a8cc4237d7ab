"""A file of embeddings: its map, its neighbours, and what was refused."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int

from molmv.errors import InputError
from molmv.reporting.blocks import Block, Section, Table, Text
from molmv.reporting.chemical_space import Molecules, chemical_space
from molmv.results import EmbeddingResult, load_embeddings
from molmv.textfile import TextFile

if TYPE_CHECKING:
    from molmv.reporting.sections import Options

MOST_REFUSED = 200


def sections(path: Path, options: Options) -> list[Section]:
    """One section.

    Raises:
        InputError: not a file of embeddings, or a table of other rows.
    """
    found = load_embeddings(path)
    columns = _numbers(options.table, len(found)) if options.table else {}
    good = np.flatnonzero(found.valid)
    rows = sample(good, options.molecules, options.seed)
    model = found.provenance.get("model", "an unknown model")
    words = f"{len(found):,} rows, embedded by {model}; {len(good):,} have a vector of {found.X.shape[1]} numbers."
    if len(rows) < len(good):
        words += f" The map shows {len(rows):,} of them, chosen at random."
    blocks: list[Block] = [Text(words)]
    if len(rows) >= 2:
        colours = {name: values[rows] for name, values in columns.items()}
        if found.uncertainty is not None:
            colours["uncertainty of the student"] = np.asarray(found.uncertainty, np.float64)[rows]
        ids = found.ids or [None] * len(found)
        names = [str(ids[row] or f"row {row}") for row in rows]
        smiles = [found.smiles[row] or "" for row in rows]
        blocks += chemical_space(Molecules(smiles, names, found.X[rows], colours), options.tsne, options.seed)
    blocks += _refused(found)
    return [Section(f"Chemical space: {path.name}", blocks)]


def sample(rows: Int[np.ndarray, " n"], count: int, seed: int) -> Int[np.ndarray, " m"]:
    """At most so many of the rows, at random, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def _refused(found: EmbeddingResult) -> list[Block]:
    bad = np.flatnonzero(~found.valid)
    if not len(bad):
        return []
    counts = ", ".join(f"{n} {status}" for status, n in Counter(found.status[row] for row in bad).most_common())
    ids = found.ids or [None] * len(found)
    rows = [(int(row), ids[row] or "", _cut(found.smiles[row]), found.status[row], found.reason[row]) for row in bad]
    title = f"Refused rows: {counts}" + (f"; the first {MOST_REFUSED}" if len(rows) > MOST_REFUSED else "")
    return [Table(title, ("row", found.id_column, "SMILES", "status", "reason"), rows[:MOST_REFUSED])]


def _cut(text: str | None, limit: int = 80) -> str:
    text = text or ""
    return text if len(text) <= limit else text[:limit] + "…"


def _numbers(path: Path, expected: int) -> dict[str, Float64[np.ndarray, " n"]]:
    """Columns of a table in which at least half of the cells are numbers.

    Raises:
        InputError: it cannot be read, or has another number of rows.
    """
    import pandas

    try:
        if path.suffix == ".parquet":
            frame = pandas.read_parquet(path)
        else:
            text = io.StringIO("".join(TextFile(path).lines()))
            frame = pandas.read_csv(text, sep=None, engine="python", skip_blank_lines=False, dtype=str)
    except InputError:
        raise
    except (OSError, ValueError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    if len(frame) != expected:
        raise InputError(
            f"{path} has {len(frame):,} rows, the embeddings have {expected:,}.", "Give the file that was embedded."
        )
    numbers = {str(name): pandas.to_numeric(frame[name], errors="coerce").to_numpy(np.float64) for name in frame}
    return {name: values for name, values in numbers.items() if np.isfinite(values).mean() >= 0.5}

"""Teachers that are a table of vectors, computed anywhere; joined to molecules by their SMILES, to texts by the text.

A table without SMILES names a file that has them (option ``rows``): joined by row number, or by a column of ids
that both have. So a lookup is always by molecule, and a shuffled or shortened table cannot pass for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from molmv import modality
from molmv.cards import TeacherCard, Weights
from molmv.errors import CardError, InputError
from molmv.hashing import sha256
from molmv.modality import Modality
from molmv.rows import row_keys
from molmv.table import open_table
from molmv.vector_files import VectorFile, read_vectors
from molmv.weights import locate

OPTIONS = ("smiles", "vector", "rows", "rows_sha256", "id", "column")
ROUNDING = 1e-3  # of a vector's largest number: two rows of one molecule may differ by as much
_PIECE = 8192


class Table:
    """Looks a molecule's vector up; one that the table has not, or not in finite numbers, is NaN.

    The table is the card's ``[weights] file``: npy, npz, parquet, csv or tsv. Options:

    * ``smiles``, or ``column`` where the card's modality is another: the column (npz: array) of SMILES, of texts, …;
      by default that called smiles, canonical_smiles or input.
    * ``vector``: the column of lists, or the columns of numbers as a pattern or a list; npz: the array. By default what
      ``molmv featurize`` writes.
    * ``rows``, ``rows_sha256``: a corpus that has the SMILES of a table that has none: its row i is the table's row i.
    * ``id``: with ``rows``, a column of both files to join them by, instead of the row number.

    With ``canonicalise = false`` on the card a SMILES is looked up as it is written, and the table need not be parsed.

    Raises:
        CardError: an option that there is not, or ``rows`` without its hash.
        WeightsError: a file is missing, or was changed.
        InputError: a table that cannot be read or joined, or has two vectors for one molecule; names the rows.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        options = dict(card.options)
        if unknown := options.keys() - set(OPTIONS):
            raise CardError(
                f"Teacher {card.name!r}: a table has no option {', '.join(sorted(unknown))}.",
                f"Known: {', '.join(OPTIONS)}.",
            )
        path, reads = locate(card), modality.of(card.modality)
        column = options.get("column", options.get("smiles"))
        if "rows" in options:
            table = read_vectors(path, options.get("id"), options.get("vector"), labelled="id" in options)
            inputs = _inputs_of_rows(card, path, table, options, column)
        else:
            table = read_vectors(path, column, options.get("vector"))
            inputs = table.labels
        self._vectors, self.dim = table.vectors, table.vectors.shape[1]
        self._keys, self._rows = _index(path, reads, inputs, table.vectors, card.canonicalise)

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, dim)``, float32."""
        keys = row_keys(inputs)
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        found = self._keys[place] == keys
        out = np.full((len(inputs), self.dim), np.nan, dtype=np.float32)
        out[found] = self._vectors[self._rows[place[found]]]
        return out


def _inputs_of_rows(
    card: TeacherCard, path: Path, table: VectorFile, options: dict[str, Any], column: str | None
) -> list[Any]:
    """The input of each row of the table, from the corpus that the card names."""
    corpus = replace(card, weights=Weights(file=options["rows"], sha256=options.get("rows_sha256", "")))
    if not corpus.weights.sha256:
        place = (card.path.parent if card.path else Path()) / corpus.weights.file
        known = f'rows_sha256 = "{sha256(place)}"' if place.is_file() else f"{place} does not exist"
        raise CardError(
            f"Teacher {card.name!r}: option rows needs rows_sha256, the SHA-256 of that file.", f"Now {known}."
        )
    corpus_path = locate(corpus)
    reads = modality.of(card.modality)
    chunks = list(open_table(corpus_path, column, options.get("id"), reads).chunks(_PIECE))
    inputs = [value for chunk in chunks for value in chunk.values]
    if "id" not in options:
        if len(inputs) != len(table.vectors):
            raise InputError(
                f"{path} has {len(table.vectors):,} rows, {corpus_path} has {len(inputs):,}.",
                "Join them by a column of both with the card's option id, or give the corpus that it was made from.",
            )
        return inputs
    ids = [label for chunk in chunks for label in chunk.ids or ()]
    first: dict[str | None, int] = {}
    for row, label in enumerate(ids):
        if inputs[first.setdefault(label, row)] != inputs[row] and label:
            raise InputError(
                f"{corpus_path}: rows {first[label]} and {row} have the id {label!r} and other {reads.noun}."
            )
    return [inputs[first[label]] if label and label in first else None for label in table.labels]


def _index(
    path: Path, reads: Modality, inputs: list[Any], vectors: np.ndarray, canonicalise: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted hashes of the molecules that have a vector, and the row of each."""
    keys, finite = np.zeros(len(vectors), np.uint64), np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), _PIECE):
        piece = slice(start, start + _PIECE)
        rows = reads.screen(inputs[piece], None)
        keys[piece] = row_keys(reads.canonical(reads.parse(rows)) if canonicalise else rows.inputs)
        finite[piece] = np.isfinite(vectors[piece]).all(axis=1)
    if not (good := np.flatnonzero((keys != 0) & finite)).size:
        known = f"{int((keys != 0).sum()):,} of {len(keys):,} rows have a {reads.name}"
        why = f"{known}, {int(finite.sum()):,} finite numbers"
        raise InputError(f"{path}: no row has both: {why}.", "Check the card's options smiles, vector, rows and id.")

    order = good[np.argsort(keys[good], kind="stable")]
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    for start in range(0, len(again), _PIECE):
        first, second = (order[again[start : start + _PIECE] + step] for step in (0, 1))
        a, b = vectors[first].astype(np.float64), vectors[second].astype(np.float64)
        differ = np.abs(a - b).max(axis=1) > ROUNDING * np.abs(a).max(axis=1)
        if differ.any():
            i, j = first[differ][0], second[differ][0]
            raise InputError(
                f"{path}: rows {i} and {j} (counted from 0) are one {reads.name}, {inputs[i]}, with different vectors.",
                "Leave one of them.",
            )
    kept = np.delete(order, again + 1)
    return keys[kept], kept

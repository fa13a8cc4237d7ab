"""A slow teacher of the first molecules of a corpus, as a store of the whole corpus: it has no vector of the others.

    head -n 131072 build/corpus-1000000.smi > build/corpus-131072.smi
    molmv teachers embed rdkit-descriptors maccs build/corpus-131072.smi -o build/store-131072 --workers 2
    python configs/extend_store.py build/store-131072/maccs --as build/store-1000000/ecfp -o build/store-1000000/maccs

A distillation leaves out of a teacher's loss what the teacher has no vector of.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from molmv.embed_corpus import CHUNK
from molmv.embeddings import EmbeddingStore, differing_rows, open_store_writer
from molmv.rows import ERROR


def extend(part: EmbeddingStore, whole: EmbeddingStore, out: Path) -> int:
    """Write the rows of ``part``, then rows without a vector until there are as many as ``whole`` has.

    Returns:
        The number of rows.

    Raises:
        SystemExit: ``part`` is not of the first rows of ``whole``.
    """
    known = len(part)
    if known > len(whole):
        raise SystemExit(f"{part.path} has {known:,} rows, {whole.path} has {len(whole):,}.")
    if len(differing_rows(part.keys, whole.keys[:known])):
        raise SystemExit(f"{part.path} is not about the first rows of {whole.path}.")
    with open_store_writer(out, replace(part.header, corpus=whole.header.corpus)) as writer:
        for start in range(writer.rows, len(whole), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(whole)))
            here = rows[rows < known]
            values = np.zeros((len(rows), part.header.dim), np.float32)
            values[: len(here)] = part.take(here)
            keys = np.zeros(len(rows), np.uint64)
            keys[: len(here)] = part.keys[here]
            missing = len(rows) - len(here)
            status = [*(part.status[row] for row in here), *[ERROR] * missing]
            writer.append(values, keys, status, [""] * len(here) + ["not embedded: beyond the first ones"] * missing)
        writer.finish()
        return writer.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", type=Path, help="store of the first molecules")
    parser.add_argument("--as", dest="whole", type=Path, required=True, help="a store of the whole corpus")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the store to write")
    arguments = parser.parse_args()
    rows = extend(EmbeddingStore(arguments.part), EmbeddingStore(arguments.whole), arguments.output)
    print(f"{arguments.output}: {rows:,} rows")


if __name__ == "__main__":
    main()

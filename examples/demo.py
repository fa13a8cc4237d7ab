"""Shows what is in a file of embeddings: which rows were refused and why, and what lies near one molecule.

Run as ``python examples/demo.py build/library_embeddings.parquet [ID]``; ``make demo`` writes that file first.
"""

import re
import sys
from collections import defaultdict

import numpy as np

import molmv

NICOTINE = "NSC-5065"
NEIGHBOURS = 6


def kind(reason: str) -> str:
    """Returns a reason without what differs from row to row: ``valence: … atom # 1 …`` is ``valence``."""
    return re.split(r"[:'\"]", reason)[0].strip()


def short(text: str, limit: int) -> str:
    """Returns the text on one line, cut at the limit."""
    text = text.encode("unicode_escape").decode()
    return text if len(text) <= limit else text[:limit] + "…"


def show_refused(result: molmv.EmbeddingResult) -> None:
    """Prints the refused rows by status and kind of reason, each with its first example."""
    groups = defaultdict(list)
    for row in np.flatnonzero(~result.valid):
        groups[result.status[row], kind(result.reason[row])].append(row)
    print(f"Refused: {sum(map(len, groups.values()))} of {len(result):,} rows")
    for (status, reason), rows in sorted(groups.items(), key=lambda group: -len(group[1])):
        example = f"{result.ids[rows[0]]} {short(result.smiles[rows[0]] or '', 30)}"
        print(f"  {len(rows):3}  {status:9}  {reason:34}  e.g. {example.rstrip()}")


def show_neighbours(result: molmv.EmbeddingResult, name: str) -> None:
    """Prints the molecules whose embeddings have the highest cosine with that of the named one."""
    query = result.ids.index(name)
    # Standardised, so that no column outweighs the others and what all molecules share does not count.
    vectors = result.X.astype(float)
    vectors = (vectors - np.nanmean(vectors, axis=0)) / (np.nanstd(vectors, axis=0) + 1e-9)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = np.nan_to_num(vectors @ vectors[query], nan=-1.0)
    print(f"Nearest to {name}  {result.smiles[query]}")
    for row in [row for row in np.argsort(-cosine) if row != query][:NEIGHBOURS]:
        print(f"  {cosine[row]:.3f}  {result.ids[row]:9}  {short(result.smiles[row], 80)}")


def main() -> None:
    """Reads the file named on the command line."""
    result = molmv.load_embeddings(sys.argv[1])
    print(f"\n{result!r}\n")
    show_refused(result)
    print()
    show_neighbours(result, sys.argv[2] if len(sys.argv) > 2 else NICOTINE)


if __name__ == "__main__":
    main()

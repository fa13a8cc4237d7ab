"""Draw a corpus from a file of SMILES: shuffled, without replacement, the same for the same seed.

    python corpora/sample.py ../shared/data/corpus/permissive.smi.gz -n 250000 -o build/corpus.smi

The file is read once; only its lines are held in memory (about 200 MB for two million molecules).
"""

from __future__ import annotations

import argparse
import gzip
import random
from pathlib import Path

from writing import write_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="SMILES, one a line; may be gzipped")
    parser.add_argument("-n", type=int, required=True, help="molecules to draw")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    opener = gzip.open if arguments.source.suffix == ".gz" else open
    with opener(arguments.source, "rt", encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()]
    if arguments.n > len(lines):
        parser.error(f"{arguments.source} has {len(lines):,} molecules, {arguments.n:,} were asked for")
    drawn = random.Random(arguments.seed).sample(lines, arguments.n)
    write_corpus(drawn, arguments.output)


if __name__ == "__main__":
    main()

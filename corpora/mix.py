"""Put several files of SMILES into one corpus: shuffled, no molecule twice, the same for the same seed.

    python corpora/mix.py build/sampled.smi build/derived.smi -o build/corpus.smi

The first word of a line is the molecule; ``derive.py`` writes its kind behind it. Shuffled, so that the first rows of a
corpus are a smaller one like it.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from writing import write_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, nargs="+", help="SMILES, one a line")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    lines = (line for path in arguments.sources for line in path.read_text(encoding="utf-8").splitlines())
    molecules = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    random.Random(arguments.seed).shuffle(molecules)
    write_corpus(molecules, arguments.output)


if __name__ == "__main__":
    main()

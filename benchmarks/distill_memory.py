"""Memory of ``molmv distill`` on a large corpus: 2 million molecules and eight teachers should need less than 6 GiB.

    python benchmarks/distill_memory.py ../shared/data/corpus/permissive.smi.gz [--rows 2000000] [--steps 60]

Takes the molecules of the corpus, again from its beginning when it is shorter, and the stores of random values of
:mod:`distill_speed` (12 GB on the disk for 2 million rows); trains a 5 x 256 student for some steps in a process of its
own, and looks every half second at what that process holds: memory of its own, and pages of the stores' files that it
has mapped, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
from distill_speed import TEACHERS, copy_rows, stores

from molmv.hashing import sha256

CONFIG = """
name = "large"
output = "{folder}/run"
teachers = [{teachers}]
[data]
corpus = "{corpus}"
stores = "{folder}"
held_out = 0.005
[student]
kind = "gine"
layers = 5
width = 256
embedding = 512
[train]
steps = {steps}
batch_size = 512
validate_every = {steps}
threads = 1
"""
GIB = 2**30


def main() -> None:
    """Write corpus and stores, train, look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="for corpus and stores; a temporary one if none is named")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        folder = Path(place)
        corpus, config = folder / "corpus.smi", folder / "distill.toml"
        copy_rows(args.corpus, args.rows, corpus)
        stores(folder, args.rows, sha256(corpus))
        names = ", ".join(f'"{name}"' for name in TEACHERS)
        config.write_text(CONFIG.format(folder=folder, corpus=corpus, teachers=names, steps=args.steps))
        own, mapped = watched([sys.executable, "-m", "molmv", "distill", str(config), "-q"])
    print(f"{args.rows:,} rows x {len(TEACHERS)} teachers, {args.steps} steps: at most {own / GIB:.2f} GiB of its own,")
    print(f"   and {mapped / GIB:.2f} GiB of mapped files at most")


def watched(command: list[str]) -> tuple[int, int]:
    """Largest memory of its own and of mapped files, in bytes, of a process and those that it starts."""
    process, own, mapped = psutil.Popen(command), 0, 0
    while process.poll() is None:
        try:
            held = [each.memory_info() for each in (process, *process.children(recursive=True))]
        except psutil.Error:
            continue
        own = max(own, sum(each.rss - each.shared for each in held))
        mapped = max(mapped, sum(each.shared for each in held))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"molmv distill ended with {process.returncode}")
    return own, mapped


if __name__ == "__main__":
    main()

"""The average of students that went on from one another, or from the same one: their weights, by the shares given.

    python configs/average.py build/molmv-base-million/student=2 build/molmv-base-named=1 build/molmv-base-turned=1 \
        --name molmv-base -o build/molmv-base-averaged

What it tells of itself is what the first one tells, and of whom it is the average. ``train.keep`` averages one training
with its beginning; this is for more than two (molmv/distill/weight_average.py says why it works).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from molmv.distill.weight_average import averaged
from molmv.student.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def average(students: Sequence[Checkpoint], shares: Sequence[float], name: str) -> Checkpoint:
    """The averaged student.

    Args:
        students: of the same kind and sizes; what the first one tells of itself is kept.
        shares: of each in the average; they are divided by their sum.
        name: of the new student.

    Raises:
        SystemExit: they are of different kinds or sizes.
    """
    first = students[0]
    shares = [share / sum(shares) for share in shares]
    for other in students[1:]:
        shapes = [{key: weight.shape for key, weight in one.weights.items()} for one in (first, other)]
        if other.kind != first.kind or shapes[0] != shapes[1]:
            raise SystemExit(f"{other.name} is not of the kind and sizes of {first.name}.")
    weights = averaged([one.weights for one in students], shares)
    about = [{"digest": one.digest, "share": share} for share, one in zip(shares, students, strict=True)]
    return replace(first, name=name, weights=weights, provenance={**first.provenance, "averaged": about})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", nargs="+", metavar="FOLDER=SHARE", help="the last training first")
    parser.add_argument("--name", required=True, help="of the new student")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    folders, shares = zip(*(text.rsplit("=", 1) for text in arguments.students), strict=True)
    made = average(
        [load_checkpoint(Path(folder)) for folder in folders], [float(share) for share in shares], arguments.name
    )
    save_checkpoint(made, arguments.out)
    print(arguments.out, *(f"{one['share']:.3g} of {one['digest'][:12]}" for one in made.provenance["averaged"]))


if __name__ == "__main__":
    main()

"""The student of a run, turned into the space of its teachers, so that its cosines are theirs (molmv/student/turning.py).

python configs/turn_text.py build/text/static -o build/text/static-turned
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from molmv.modality import read_by
from molmv.models import load_student
from molmv.student.checkpoint import load_checkpoint, save_checkpoint
from molmv.student.turning import turned
from molmv.table import open_table

ROWS = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a distillation with loss.depth = 0")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, default=Path("build/text/corpus.txt"))
    parser.add_argument("--teachers", nargs="*", default=(), help="whose space; all by default")
    arguments = parser.parse_args()
    student, checkpoint = load_student(arguments.run), load_checkpoint(arguments.run / "student")
    table = open_table(arguments.corpus, modality=read_by(student))
    (chunk,) = islice(table.chunks(ROWS), 1)
    save_checkpoint(turned(checkpoint, student, chunk.values, arguments.teachers), arguments.output)
    print(f"{arguments.output}: cosines of {', '.join(arguments.teachers or student.heads.teachers)}")


if __name__ == "__main__":
    main()

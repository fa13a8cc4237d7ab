"""The scores behind the tables, every seed of every job, in one file a protocol: ``results/PROTOCOL-scores.csv``.

:mod:`molmv.evaluate.runner` keeps a file a job in ``results/scores/``, thousands of them, which are not in the
repository. :func:`pack` gathers them, and :func:`unpack` lays them out again, so that a table can be extended anywhere
without what was computed for it before.
"""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

from molmv.evaluate.runner import HASH

JOB = "job"


def pack(results: Path) -> list[Path]:
    """One file for each protocol (and version) of which anything is finished; returns them."""
    written = []
    for protocol in sorted(path for path in (results / "scores").glob("*") if path.is_dir()):
        rows = []
        for job in sorted(protocol.glob("*/*.csv")):
            with job.open(newline="") as file:
                header, *scores = csv.reader(file)
            rows += [[f"{job.parent.name}/{job.stem}", *score] for score in scores if score[0] != HASH]
        if rows:
            written.append(results / f"{protocol.name}-scores.csv")
            with written[-1].open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([[JOB, *header], *rows])
    return written


def unpack(results: Path) -> int:
    """Lay out the jobs that are not there; returns how many."""
    count = 0
    for packed in sorted(results.glob("*-scores.csv")):
        protocol = results / "scores" / packed.name.removesuffix("-scores.csv")
        with packed.open(newline="") as file:
            reader = csv.reader(file)
            header = next(reader)[1:]
            for job, scores in groupby(reader, key=lambda row: row[0]):
                path = protocol / f"{job}.csv"
                if path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("w", newline="") as out:
                    csv.writer(out, lineterminator="\n").writerows([header, *(score[1:] for score in scores)])
                count += 1
    return count

"""What the folder of a distillation tells: curves of every teacher, and the nats that the student holds of each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molmv.documents import read_json
from molmv.errors import InputError

#: What is drawn of a teacher: the name in the log, and the words for it.
MEASURES = {"nll": "negative log-likelihood, nats per dimension", "r2": "R² of the head's mean"}
PARTS = {"train": "training", "held_out": "held out"}


@dataclass(frozen=True)
class Point:
    """One number of a log.

    Attributes:
        step: of the training, from 0.
        part: a key of :data:`PARTS`.
        measure: a key of :data:`MEASURES`.
    """

    teacher: str
    step: int
    part: str
    measure: str
    value: float


def curves(folder: Path) -> list[Point]:
    """All numbers of all teachers in ``log/``; where a run was resumed, what was logged last counts.

    Raises:
        InputError: a log that is no CSV with a column ``step``.
    """
    found: dict[tuple[str, int, str, str], float] = {}
    logs = sorted(folder.glob("log/from-step-*/metrics.csv"), key=lambda path: int(path.parent.name.rpartition("-")[2]))
    for path in logs:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    step = int(row["step"])
                    numbers = {key: float(value) for key, value in row.items() if "/" in key and value}
                except (KeyError, TypeError, ValueError) as error:
                    raise InputError(f"{path} is not the log of a distillation: {error!r}.") from error
                for key, value in numbers.items():
                    part, _, rest = key.partition("/")
                    measure, _, teacher = rest.partition("/")
                    if part in PARTS and measure in MEASURES and teacher:
                        found[teacher, step, part, measure] = value
    return [Point(teacher, step, part, measure, value) for (teacher, step, part, measure), value in found.items()]


def nats(folder: Path) -> dict[str, dict[str, Any]]:
    """Per teacher ``nats``, ``low``, ``high``, ``most`` and ``components``; empty where they were not estimated.

    Raises:
        InputError: ``information.json`` is damaged.
    """
    path = folder / "information.json"
    if not path.exists():
        return {}
    try:
        teachers: dict[str, dict[str, Any]] = read_json(path)["teachers"]
        for one in teachers.values():
            one |= {key: float(one[key]) for key in ("nats", "low", "high", "most")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!r}.", "Write it again with `molmv information`.") from error
    return teachers

"""The folder of a fit: all models on the test molecules, predicted against measured, the domain, the largest errors."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv.depiction import draw
from molmv.documents import parse_json, read_json
from molmv.errors import InputError
from molmv.predicting import charts as drawn
from molmv.predicting.tested import Line, Tested
from molmv.reporting import charts
from molmv.reporting.blocks import Block, Chart, Gallery, Section, Table, Text

if TYPE_CHECKING:
    from molmv.reporting.sections import Options

REPORT = "report"
_WORST = 6
_HEIGHT = 300


def sections(path: Path, options: Options) -> list[Section]:
    """One section, from the tables that :func:`molmv.fit` wrote.

    Raises:
        InputError: a table or a page of numbers is damaged.
    """
    folder = path / REPORT
    try:
        parameters, figures = (read_json(folder / f"{name}.json") for name in ("parameters", "metrics"))
        classes = tuple(read_json(path / "predictor" / "config.json")["config"]["classes"])
        lines, rows = read_lines(folder / "heads.csv"), _read(folder / "rows.csv")
        tested = read_tested(rows, classes)
        blocks = [
            Text(_statement(parameters, figures, lines)),
            _models(lines, drawn.models(lines)),
            *_pictures(tested),
            Gallery("Largest errors: measured → predicted", [_worst(tested)]),
            _refused(rows),
        ]
        title = f"Property model: {parameters['target']}, {parameters['model']['name']}"
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder} is damaged: {error!r}.", "Fit again, with --overwrite.") from error
    return [Section(title, blocks)]


def read_lines(path: Path) -> list[Line]:
    """The table of all models."""
    return [
        Line(
            row.pop("model"),
            parse_json(row.pop("parameters")),
            _number(row.pop("cv")),
            scores=np.zeros(0),
            chosen=row.pop("kept") == "True",
            test={name: _number(value) for name, value in row.items()},
        )
        for row in _read(path)
    ]


def read_tested(rows: list[dict[str, str]], classes: tuple[str, ...]) -> Tested:
    """The test molecules, each once, from the fates of all rows."""
    test = list({row["molecule"]: row for row in rows if row["part"] == "test"}.values())
    values = [float(row["value"] == classes[-1]) if classes else float(row["value"].lstrip("<>=~≤≥ ")) for row in test]
    names = ("prediction", "lower", "upper", "similarity")
    columns = {name: np.array([_number(row[name]) for row in test]) for name in names}
    inside = np.array([row["in_domain"] == "True" for row in test])
    return Tested([row["smiles"] for row in test], np.array(values), in_domain=inside, classes=classes, **columns)


def _pictures(tested: Tested) -> list[Block]:
    kinds = {"Predicted against measured": drawn.parity, "Error by similarity": drawn.similarity}
    if tested.classes:
        kinds = {"ROC curve": drawn.roc, f"Calibration of P({tested.classes[-1]})": drawn.calibration}
    header = ("SMILES", "measured", "predicted", "lower", "upper", "in domain", "similarity")
    numbers = [tested.y, tested.prediction, tested.lower, tested.upper, tested.in_domain, tested.similarity]
    rows = list(zip(tested.smiles, *(column.tolist() for column in numbers), strict=True))
    table = Table("Numbers", header, rows, folded=True)
    return [Chart(title, charts.fitted(chart(tested), _HEIGHT), table) for title, chart in kinds.items()]


def _models(lines: list[Line], chart: Any) -> Chart:
    names = list(lines[0].test)
    rows = [
        (line.name + (" (kept)" if line.chosen else ""), *(_shown(value) for value in (line.cv, *line.test.values())))
        for line in lines
    ]
    table = Table("Numbers", ("model", f"cv {names[0]}", *(f"test {name}" for name in names)), rows)
    return Chart(f"{names[0].upper()} on the test molecules", charts.fitted(chart, 32 * len(lines)), table)


def _worst(tested: Tested) -> list[tuple[str, str, str]]:
    errors = np.abs(tested.y - tested.prediction)
    order = np.argsort(-errors, kind="stable")[:_WORST]
    pictures = draw([tested.smiles[i] for i in order])
    domain = ["in domain" if inside else "not in domain" for inside in tested.in_domain]
    below = [f"similarity {tested.similarity[i]:.2f}, {domain[i]}" for i in order]
    names = [f"{tested.y[i]:.3g} → {tested.prediction[i]:.3g}" for i in order]
    return list(zip(pictures, names, below, strict=True))


def _refused(rows: list[dict[str, str]]) -> Table:
    header = ("row", "smiles", "value", "status", "reason")
    found = [[row[name] for name in header] for row in rows if row["status"] != "ok"]
    return Table(f"Rows that were not used: {len(found):,} of {len(rows):,}", header, found, folded=True)


def _statement(parameters: dict[str, Any], figures: dict[str, float], lines: list[Line]) -> str:
    size, name = parameters["molecules"], next(iter(lines[0].test))
    text = f"{size['train']:,} molecules to train on, {size['test']:,} to test on; split: {parameters['split']}."
    if "difference.low" in figures:
        low, high = figures["difference.low"], figures["difference.high"]
        text += f" Test {name}: kept model minus ECFP with a random forest {figures['difference']:+.3f}"
        text += f", 95 % interval {low:+.3f} to {high:+.3f}"
        text += ": not told apart." if low <= 0 <= high else "."
    if "test.coverage" in figures:
        text += f" Intervals hold {figures['test.coverage']:.0%} of the test values (meant: {parameters['level']:.0%})."
    return f"{text} {figures['test.in_domain']:.0%} of the test molecules are in the domain."


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def _shown(value: float) -> object:
    return float(value) if np.isfinite(value) else "–"

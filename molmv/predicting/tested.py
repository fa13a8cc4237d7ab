"""The test: every head, and what they have to beat, on molecules that no choice has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from molmv.evaluate.splits import Split
from molmv.predicting.assay import CLASSIFICATION
from molmv.predicting.gathering import Gathered
from molmv.predicting.heads import Forest
from molmv.predicting.metrics import bootstrap, main_metric, measure, probability_metrics
from molmv.predicting.predictor import Predictor
from molmv.predicting.selection import Candidate, Model

BASELINE, CONSTANT = "ecfp + random forest", "training mean"
_TREES = 100
# Share of the bits that a split of the baseline looks at: Breiman's advice for values, the usual one for classes.
_SHARE: dict[bool, float | str] = {False: 1 / 3, True: "sqrt"}


@dataclass(frozen=True)
class Line:
    """One model of the table.

    Attributes:
        name: head, or baseline.
        parameters: it was fitted with.
        cv: mean RMSE or AUROC over the folds; NaN where there was no choice to make.
        test: figures on the test molecules, by name; the first is the one that counts.
        scores: what it said of them.
        chosen: whether it is the one that is kept.
    """

    name: str
    parameters: dict[str, Any]
    cv: float
    test: dict[str, float]
    scores: Float64[np.ndarray, " n"]
    chosen: bool = False


@dataclass(frozen=True)
class Tested:
    """The test molecules, one entry each.

    Attributes:
        smiles: as given.
        y: measured; 0 or 1 in a classification.
        prediction: of the kept model; a probability in a classification.
        lower: end of the interval.
        upper: end of the interval.
        in_domain: see :class:`molmv.predicting.domain.Domain`.
        similarity: to the nearest training molecule.
        classes: both labels; empty for a regression.
    """

    smiles: list[str]
    y: Float64[np.ndarray, " n"]
    prediction: Float64[np.ndarray, " n"]
    lower: Float64[np.ndarray, " n"]
    upper: Float64[np.ndarray, " n"]
    in_domain: Bool[np.ndarray, " n"]
    similarity: Float64[np.ndarray, " n"]
    classes: tuple[str, ...]


def compare(found: Sequence[Candidate], data: Gathered, split: Split, classify: bool) -> list[Line]:
    """Every head (the kept one first), the baseline, and the mean of the training part."""
    y, y_test = data.y[split.train], data.y[split.test]
    lines = []
    for number, candidate in enumerate(found):
        model = Model.fit(candidate.kind, candidate.parameters, data.X[split.train], y, classify)
        scores = model.score(data.X[split.test])
        cv = candidate.cv if classify else -candidate.cv
        test = measure(y_test, scores, classify)
        lines.append(Line(candidate.kind, dict(candidate.parameters), cv, test, scores, chosen=number == 0))
    options = {"trees": _TREES, "share": _SHARE[classify]}
    forest = Forest.fit(data.bits[split.train], y, classify, **options)  # type: ignore[arg-type]
    scores = forest.score(data.bits[split.test])
    lines.append(Line(BASELINE, options, float("nan"), measure(y_test, scores, classify), scores))
    mean = np.full(len(y_test), y.mean())
    lines.append(Line(CONSTANT, {}, float("nan"), measure(y_test, mean, classify), mean))
    return lines


def test_part(predictor: Predictor, data: Gathered, split: Split) -> Tested:
    """What the kept model says of the test molecules."""
    prediction, lower, upper = predictor.estimate(data.X[split.test])
    similarity, in_domain = predictor.domain(data.bits[split.test])
    smiles = [data.smiles[i] for i in split.test]
    y = data.y[split.test]
    return Tested(smiles, y, prediction, lower, upper, in_domain, similarity, predictor.classes)


def figures(predictor: Predictor, table: Sequence[Line], tested: Tested) -> dict[str, float]:
    """Numbers about the kept model, by name; ``difference`` is the kept model minus the baseline."""
    classify, y, inside = predictor.task == CLASSIFICATION, tested.y, tested.in_domain
    kept = next(line for line in table if line.chosen)
    baseline = next(line for line in table if line.name == BASELINE)
    name, metric = main_metric(classify)
    found = {"cv": kept.cv, **{f"test.{key}": value for key, value in kept.test.items()}}
    found |= {f"baseline.test.{key}": value for key, value in baseline.test.items()}
    found["difference"] = kept.test[name] - baseline.test[name]
    if len(np.unique(y)) > 1:
        own, _, difference = bootstrap(metric, y, kept.scores, baseline.scores)
        found |= {f"test.{name}.low": own[0], f"test.{name}.high": own[1]}
        found |= {"difference.low": difference[0], "difference.high": difference[1]}
    found |= {"test.in_domain": float(inside.mean()), "domain.threshold": predictor.domain.threshold}
    parts = {"in_domain": inside, "out_of_domain": ~inside}
    found |= {
        f"test.{name}.{part}": metric(y[rows], kept.scores[rows])
        for part, rows in parts.items()
        if len(np.unique(y[rows])) > 1
    }
    if classify:
        found |= {f"test.{key}": value for key, value in probability_metrics(y, tested.prediction).items()}
        found["test.bounds"] = float(np.mean(tested.upper - tested.lower))
    else:
        covered = (tested.lower <= y) & (y <= tested.upper)
        found |= {"test.coverage": float(covered.mean()), "interval.half_width": predictor.width}
        found |= {f"test.coverage.{part}": float(covered[rows].mean()) for part, rows in parts.items() if rows.any()}
    return {key: float(value) for key, value in found.items()}

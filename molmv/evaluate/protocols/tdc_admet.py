"""``tdc-admet``: the ADMET group of Therapeutics Data Commons, to stand on its leaderboard.

Official training and test part, five seeds, each task's own metric. Three heads: ``mlp``, an ensemble of five small
networks, each stopped on another fifth of the training part; ``simple``, the best of linear model and nearest
neighbours by cross-validation; and ``vote``, the mean of what ``mlp`` and kernel ridge regression say. Targets that
span decades (those scored by rank correlation) are learnt as log(1 + y).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molmv.evaluate import heads as kinds
from molmv.evaluate import metrics, splits
from molmv.evaluate.heads import Data, Fitted, filled
from molmv.evaluate.kernel import kernel
from molmv.evaluate.protocol import Score, folds
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import Task, names

METRICS = {
    "MAE": "Caco2_Wang Lipophilicity_AstraZeneca Solubility_AqSolDB PPBR_AZ LD50_Zhu",
    "Spearman": "VDss_Lombardo Half_Life_Obach Clearance_Microsome_AZ Clearance_Hepatocyte_AZ",
    "AUPRC": "CYP2C9_Veith CYP2D6_Veith CYP3A4_Veith CYP2C9_Substrate_CarbonMangels CYP2D6_Substrate_CarbonMangels",
    "AUROC": "AMES BBB_Martins Bioavailability_Ma CYP3A4_Substrate_CarbonMangels DILI HIA_Hou Pgp_Broccatelli hERG",
}
SEEDS = 5


def metric_of(task: Task) -> str:
    """The metric of the leaderboard; AUROC or MAE for other tasks."""
    for metric, sets in METRICS.items():
        if task.name in sets.split():
            return metric
    return "MAE" if task.kind == "regression" else "AUROC"


class TdcAdmet:
    """See the module."""

    name, version, suite = "tdc-admet", 1, "admet"
    tasks = names("admet")
    heads = ("mlp", "simple", "vote")

    def prepare(self, task: Task) -> Task:
        """The rows as they stand; logarithms for the rank correlations."""
        if metric_of(task) == "Spearman":
            return replace(task, Y=np.log1p(np.maximum(task.Y, 0)))
        return task

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """The official one; at random for a task that came without."""
        if task.test is not None:
            yield "official", 0, splits.official_split(task.test)
        else:
            yield "random", 0, splits.random_split(len(task))

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by head and seed; only what is random differs between seeds."""
        metric = metric_of(task)
        ((kind, _, split),) = self.splits(task)
        for column, label in enumerate(task.labels):
            y = task.Y[:, column]
            train, test = (part[np.isfinite(y[part])] for part in (split.train, split.test))
            Z = filled(X, train)
            for seed in range(SEEDS):
                cut = folds(y[train], task.kind, 5, seed)
                data = Data(Z[train], y[train], Z[test], task.kind, cut, discrete, seed)
                for head in heads:
                    fitted = {"mlp": ensemble, "simple": simple, "vote": vote}[head](data)
                    value = metrics.score(metric, y[test], fitted.prediction)
                    yield Score(label, kind, seed, head, metric, value, fitted.cv, len(train), len(test))


def ensemble(data: Data) -> Fitted:
    """Five small networks, one for each fold."""
    return kinds.mlp(data, networks=5)


def simple(data: Data) -> Fitted:
    """Linear model or nearest neighbours, whichever is better in cross-validation."""
    return max((kinds.linear(data), kinds.knn(data)), key=lambda fitted: fitted.cv)


def vote(data: Data) -> Fitted:
    """Small networks and kernel ridge regression, in equal parts; ``cv`` is the mean of theirs."""
    one, other = ensemble(data), kernel(data)
    return Fitted((one.prediction + other.prediction) / 2, (one.cv + other.cv) / 2, f"{one.chosen}; {other.chosen}")

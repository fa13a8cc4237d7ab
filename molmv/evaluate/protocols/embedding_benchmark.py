"""``embedding-benchmark``: to stand in the table of arXiv 2508.06199, 56 embeddings with three heads.

- Split: TDC's. The official one where the set is in the ADMET group, else its scaffold split with seed 42, training and
  validation part together, in TDC's order. Rows as they stand, except that PAMPA_NCATS loses its one duplicate: these
  are the rows with which k-NN, where nothing is random, gives the published numbers to the last digit.
- Heads: logistic regression with ten strengths and k-NN (k = 1, 3, 5, 7, 9; Tanimoto for fingerprints, else cosine)
  on z-scored features, chosen by AUROC in 5-fold cross-validation without shuffling; a forest of 500 trees (entropy)
  on raw features.
- The one deviation: ``min_samples_split`` of the forest (2, 4, 6, 8, 10) is chosen out of bag, not in cross-validation,
  which would grow 26 forests a set; and one forest is grown and cut back in place of five (see
  :mod:`molmv.evaluate.forest`).
- Regression sets, which the paper has not, are scored by R² and MAE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molmv.evaluate import metrics, splits
from molmv.evaluate.heads import HEADS, Data, filled
from molmv.evaluate.protocol import Score, folds
from molmv.evaluate.splits import Split
from molmv.evaluate.tasks import CLASSIFICATION, Task, load_task, merge_duplicates, names

PUBLISHED = """
AMES Bioavailability_Ma CYP1A2_Veith CYP2C19_Veith CYP2C9_Substrate_CarbonMangels CYP2C9_Veith
CYP2D6_Substrate_CarbonMangels CYP2D6_Veith CYP3A4_Substrate_CarbonMangels CYP3A4_Veith DILI HIA_Hou PAMPA_NCATS
Pgp_Broccatelli SARSCoV2_3CLPro_Diamond SARSCoV2_Vitro_Touret hERG hERG_Karim
""".split()


class EmbeddingBenchmark:
    """See the module."""

    name, version, suite = "embedding-benchmark", 1, "tdc"
    tasks = tuple(PUBLISHED)
    heads = ("linear", "knn", "forest")

    def prepare(self, task: Task) -> Task:
        """The official training and test part, where there is one, in its order."""
        if task.name in names("admet"):
            return load_task(task.name, "admet")
        return merge_duplicates(task) if task.name == "PAMPA_NCATS" else task

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """One."""
        if task.test is not None:
            yield "official", 0, splits.official_split(task.test)
            return
        split = splits.tdc_scaffold_split(task.smiles)
        yield "scaffold", 42, replace(split, train=np.concatenate([split.train, split.validation]))

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Scores by label, head and metric."""
        ((kind, seed, split),) = self.splits(task)
        for column, label in enumerate(task.labels):
            y = task.Y[:, column]
            train, test = (part[np.isfinite(y[part])] for part in (split.train, split.test))
            Z = filled(X, train)
            data = Data(Z[train], y[train], Z[test], task.kind, folds(y[train], task.kind), discrete)
            for head in heads:
                fitted = HEADS[head](data)
                for metric in ("AUROC",) if task.kind == CLASSIFICATION else ("R2", "MAE"):
                    value = metrics.score(metric, y[test], fitted.prediction)
                    yield Score(label, kind, seed, head, metric, value, fitted.cv, len(train), len(test))

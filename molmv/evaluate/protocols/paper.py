"""``paper``: the protocol of arXiv 2510.18680 as its authors ran it, to stand beside its numbers; and ``paper-fixed``.

- 32 TDC sets. Rows: no ``.`` in the SMILES, at most 1,000 Da, encodable as SELFIES. Labels: log10 of three of them.
- Split at random, seeds 0 to 4: 20 % test, then 10 % of all for validation, as ``pandas.DataFrame.sample`` draws them;
  a seed that leaves a part with one class is replaced by seed + 100. Each of Tox21's labels has its own splits.
- A probe (see :mod:`molmv.evaluate.probes`) is trained for min(⌊500,000 / n⌋ + 1, 100) epochs of batches of 128.
- Score: AUROC or R² of the last epoch.

``paper`` keeps what its authors' code does wrong: features are z-scored on all rows, test rows included; the last epoch
passes for the best one; molecules lose their stereochemistry. ``paper-fixed`` scales on the training rows, keeps the
epoch that is best on the validation rows, keeps stereochemistry, and merges duplicates before it splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molmv import molecules
from molmv.errors import MissingExtraError
from molmv.evaluate import metrics
from molmv.evaluate.features import Features, make_features
from molmv.evaluate.heads import filled
from molmv.evaluate.probes import Probes, predict, train
from molmv.evaluate.protocol import Score
from molmv.evaluate.splits import Split, make_split
from molmv.evaluate.tasks import CLASSIFICATION, Task, merge_duplicates, names

LOGARITHMIC = ("Half_Life_Obach", "Clearance_Hepatocyte_AZ", "Clearance_Microsome_AZ")
NOT_IN_THE_PAPER = ("ToxCast", "SARSCoV2_3CLPro_Diamond", "SARSCoV2_Vitro_Touret")
SEEDS = 5


class Paper:
    """See the module."""

    name, version, suite, fixed = "paper", 1, "tdc", False
    tasks = tuple(name for name in names("tdc") if name not in NOT_IN_THE_PAPER)
    heads = ("probe",)

    def prepare(self, task: Task) -> Task:
        """The rows that the authors used, and logarithms of three labels."""
        rows = np.array([i for i, c in enumerate(task.canonical) if "." not in c and encodable(c)], dtype=np.int64)
        rows = rows[molecules.weights([task.canonical[i] for i in rows]) <= 1000]
        task = task.take(rows)
        if task.name in LOGARITHMIC:
            with np.errstate(divide="ignore", invalid="ignore"):
                task = replace(task, Y=np.log10(task.Y))
            task = task.take(np.flatnonzero(np.isfinite(task.Y).all(axis=1)))
        if self.fixed:
            return merge_duplicates(task)
        return replace(task, canonical=tuple(molecules.without_stereo(task.canonical)))

    def splits(self, task: Task) -> Iterator[tuple[str, int, Split]]:
        """The five splits of the first label."""
        yield from (("random", seed, split) for seed, split in self._splits(task, 0))

    def _splits(self, task: Task, column: int) -> Iterator[tuple[int, Split]]:
        y = task.Y[:, column]
        rows = np.flatnonzero(np.isfinite(y))
        for seed in range(SEEDS):
            for attempt in range(20):
                split = sampled_split(rows, seed + 100 * attempt)
                parts = (split.train, split.validation, split.test)
                if task.kind != CLASSIFICATION or all(len(np.unique(y[part])) == 2 for part in parts):
                    yield seed, split
                    break

    def run(self, task: Task, X: Float[np.ndarray, "n d"], discrete: bool, heads: Sequence[str]) -> Iterator[Score]:
        """Five scores a label; the probes of all five seeds train together."""
        metric = metrics.default_metric(task.kind)
        X = filled(X, np.arange(len(X)))
        everything = None if self.fixed else make_features(X, [np.arange(len(X))])
        for column, label in enumerate(task.labels):
            y = np.nan_to_num(task.Y[:, column])
            made = list(self._splits(task, column))
            if not made:
                continue
            seeds, cut = zip(*made, strict=True)
            features = everything or make_features(X, [split.train for split in cut])
            values, validated = self._probe(features, y, cut, task.kind, metric)
            for seed, split, value, best in zip(seeds, cut, values, validated, strict=True):
                yield Score(label, "random", seed, "probe", metric, value, best, len(split.train), len(split.test))

    def _probe(
        self, features: Features, y: np.ndarray, cut: Sequence[Split], kind: str, metric: str
    ) -> tuple[list[float], list[float]]:
        """Test scores, and validation scores of the same epoch."""
        rows, held, test = (np.stack([getattr(s, part) for s in cut]) for part in ("train", "validation", "test"))
        epochs = min(500_000 // rows.shape[1] + 1, 100)
        probes = Probes(features.dim, range(len(cut)))
        values, best = [np.nan] * len(cut), [-np.inf] * len(cut)
        for epoch in train(probes, features, y, rows, kind == CLASSIFICATION, epochs):
            if not self.fixed and epoch < epochs:
                continue
            now = [metrics.score(metric, y[r], p) for r, p in zip(held, predict(probes, features, held), strict=True)]
            if not any(n > b for n, b in zip(now, best, strict=True)):
                continue
            tested = predict(probes, features, test)
            for i, (n, r, p) in enumerate(zip(now, test, tested, strict=True)):
                if n > best[i]:
                    best[i], values[i] = n, metrics.score(metric, y[r], p)
        return values, best


class PaperFixed(Paper):
    """See the module."""

    name, version, fixed = "paper-fixed", 1, True


def sampled_split(rows: np.ndarray, seed: int) -> Split:
    """20 % test, 10 % validation, as TDC's ``create_fold`` draws them."""
    import pandas as pd

    frame = pd.Series(rows)
    test = frame.sample(frac=0.2, replace=False, random_state=seed)
    rest = frame[~frame.index.isin(test.index)]
    validation = rest.sample(frac=0.1 / 0.8, replace=False, random_state=1)
    train = rest[~rest.index.isin(validation.index)]
    return make_split(train, test, validation)


def encodable(smiles: str) -> bool:
    """Whether a molecule can be written as SELFIES.

    Raises:
        MissingExtraError: the package selfies is not installed.
    """
    try:
        import selfies
    except ImportError as error:
        raise MissingExtraError("selfies", "evaluate") from error
    try:
        return bool(selfies.encoder(smiles))
    except selfies.EncoderError:
        return False

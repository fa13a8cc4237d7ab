"""Linear probes on frozen embeddings: students, teachers and plain baselines under one protocol, in one run.

    python benchmarks/probe.py ecfp rdkit-descriptors minimol molmv-small

Protocol: the data set's rows with a vector from *every* model; 5 random splits (80 % / 20 %, seeds 0 … 4, the same for
all models); features clipped to the training part's 0.5 and 99.5 % quantiles and z-scored on the training part (bits
and counts are left as they are); logistic regression (AUROC) or ridge (R²), the regularisation picked inside the
training part, by 5-fold cross-validation or by leave-one-out. Writes ``benchmarks/results/probe.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

import numpy as np

SETS = {
    "BBB_Martins": "auroc",
    "Lipophilicity_AstraZeneca": "r2",
    "Caco2_Wang": "r2",
    "hERG": "auroc",
    "AMES": "auroc",
}
ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("MOLMV_MIRROR", ROOT.parent / "shared" / "data")) / "tdc"


def read_set(name: str) -> tuple[list[str], np.ndarray]:
    """SMILES and labels."""
    with (DATA / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["smiles"] for row in rows], np.array([float(row["label"]) for row in rows])


def embed(model: str, sets: dict[str, list[str]], cache: Path) -> tuple[dict[str, np.ndarray], bool]:
    """Vectors of every set, kept by the model's digest; and whether they are bits or counts."""
    from molmv.cards import TeacherCard
    from molmv.models import load_embedder

    embedder = load_embedder(model, device="cpu")
    card: TeacherCard | None = getattr(embedder, "card", None)
    discrete = card is not None and card.likelihood in ("bernoulli", "count")
    vectors = {}
    for name, smiles in sets.items():
        path = cache / f"{Path(model).name}-{embedder.digest[:12]}-{name}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, embedder.embed(embedder.screen(smiles)))
        vectors[name] = np.load(path, allow_pickle=False)
    return vectors, discrete


def prepare(train: np.ndarray, test: np.ndarray, discrete: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features for a linear model; everything is estimated on the training part."""
    low, high = (0, np.inf) if discrete else np.quantile(train, [0.005, 0.995], axis=0)
    # In double precision: descriptors reach 1e30, and their squares no float32.
    train, test = train.astype(float).clip(low, high), test.astype(float).clip(low, high)
    varying = train.std(0) > 0
    train, test = train[:, varying], test[:, varying]
    if not discrete:
        centre, scale = train.mean(0), train.std(0)
        train, test = (train - centre) / scale, (test - centre) / scale
    return train.astype(np.float32), test.astype(np.float32)


def score(x: np.ndarray, y: np.ndarray, metric: str, discrete: bool, seed: int) -> float:
    """The test score of one split."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    order = np.random.default_rng(seed).permutation(len(y))
    test, train = order[: len(y) // 5], order[len(y) // 5 :]
    x_train, x_test = prepare(x[train], x[test], discrete)
    if metric == "r2":
        ridge = RidgeCV(np.logspace(-1, 5, 13)).fit(x_train, y[train])
        return float(r2_score(y[test], ridge.predict(x_test)))
    logistic = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6),
        l1_ratios=(0.0,),
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        scoring="roc_auc",
        max_iter=200,
        tol=1e-3,
        use_legacy_attributes=False,
    ).fit(x_train, y[train])
    return float(roc_auc_score(y[test], logistic.predict_proba(x_test)[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "probe")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks" / "results" / "probe.csv")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA} is absent: set MOLMV_MIRROR to the folder that holds tdc/")
    data = {name: read_set(name) for name in SETS}
    embedded = {m: embed(m, {n: smiles for n, (smiles, _) in data.items()}, arguments.cache) for m in arguments.models}
    rows = []
    for name, metric in SETS.items():
        labels = data[name][1]
        everyone = np.logical_and.reduce([np.isfinite(v[name]).all(1) for v, _ in embedded.values()])
        for model, (vectors, discrete) in embedded.items():
            x = vectors[name][everyone]
            scores = [score(x, labels[everyone], metric, discrete, seed) for seed in range(arguments.splits)]
            rows.append((Path(model).name, name, metric, int(everyone.sum()), np.mean(scores), np.std(scores, ddof=1)))
            print(f"{Path(model).name:24}{name:28}{metric:6}{np.mean(scores):.4f} ± {np.std(scores):.4f}", flush=True)
    for model in arguments.models:
        mean = np.mean([row[4] for row in rows if row[0] == Path(model).name])
        print(f"{Path(model).name:24}{'mean of the five':34}{mean:.4f}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("model", "dataset", "metric", "rows", "mean", "sd"))
        writer.writerows((*row[:4], f"{row[4]:.5f}", f"{row[5]:.5f}") for row in rows)


if __name__ == "__main__":
    main()

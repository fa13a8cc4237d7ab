"""Does the uncertainty of a student's heads tell where a property model errs? Against distance to the training set.

    python benchmarks/uncertainty.py build/molmv-small        # the folder of a run: its heads are needed

Protocol: for each data set (at most --rows molecules, drawn once) two splits of 80 % / 20 %: random, and by Murcko
scaffold (rare scaffolds are tested). Ridge on the z-scored embedding (labels clipped to the training part's 1 % and
99 % quantiles, z-scored) or logistic regression, the regularisation picked inside the training part. On the test
molecules: Spearman's correlation of the absolute error with

- heads: ``Student.uncertainty``;
- tanimoto: 1 - largest Tanimoto similarity (ECFP4, 2,048 bits) to a training molecule;
- embedding: distance of z-scored embeddings to the nearest training molecule.

95 % intervals by bootstrap over test molecules (2,000 draws), the difference heads - tanimoto on the same draws.
Writes ``benchmarks/results/uncertainty.csv``.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from probe import ROOT, read_set

REGRESSION = (
    "Lipophilicity_AstraZeneca",
    "Solubility_AqSolDB",
    "LD50_Zhu",
    "Caco2_Wang",
    "PPBR_AZ",
    "HydrationFreeEnergy_FreeSolv",
)
CLASSIFICATION = ("BBB_Martins", "hERG", "AMES", "Pgp_Broccatelli")
DRAWS = 2000


def scaffold_split(smiles: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The rarest scaffolds until they are a fifth of the molecules are the test part."""
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    groups = defaultdict(list)
    for i, text in enumerate(smiles):
        groups[MurckoScaffoldSmiles(text)].append(i)
    order = [i for group in sorted(groups.values(), key=lambda g: (len(g), g)) for i in group]
    return np.array(order[len(order) // 5 :]), np.array(order[: len(order) // 5])


def random_split(smiles: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(smiles))
    return order[len(order) // 5 :], order[: len(order) // 5]


def absolute_errors(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, classify: bool) -> np.ndarray:
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV

    if classify:
        model = LogisticRegressionCV(
            Cs=np.logspace(-4, 0, 5), l1_ratios=(0.0,), cv=3, scoring="roc_auc", max_iter=200, tol=1e-3,
            use_legacy_attributes=False,
        ).fit(x[train], y[train])  # fmt: skip
        return np.abs(y[test] - model.predict_proba(x[test])[:, 1])
    low, high = np.quantile(y[train], [0.01, 0.99])
    y = y.clip(low, high)
    y = (y - y[train].mean()) / y[train].std()
    return np.abs(y[test] - RidgeCV(np.logspace(-1, 5, 13)).fit(x[train], y[train]).predict(x[test]))


def tanimoto_distance(smiles: list[str], train: np.ndarray, test: np.ndarray) -> np.ndarray:
    from rdkit import Chem, DataStructs
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    known = [bits[i] for i in train]
    return np.array([1 - max(DataStructs.BulkTanimotoSimilarity(bits[i], known)) for i in test])


def embedding_distance(x: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=1).fit(x[train]).kneighbors(x[test])
    return distances[:, 0]


def correlations(errors: np.ndarray, scores: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Spearman's correlation on the sample (first) and on bootstrap draws, of each score."""
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    draws = [np.arange(len(errors)), *rng.integers(len(errors), size=(DRAWS, len(errors)))]
    found: dict[str, list[float]] = {name: [] for name in scores}
    for draw in draws:
        ranks = rankdata(errors[draw])
        for name, score in scores.items():
            found[name].append(float(np.corrcoef(ranks, rankdata(score[draw]))[0, 1]))
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    import molmv

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks" / "results" / "uncertainty.csv")
    arguments = parser.parse_args()
    student = molmv.load_student(arguments.run, device="cpu")
    lines, everything = [], defaultdict(list)
    for name in (*REGRESSION, *CLASSIFICATION):
        smiles, labels = read_set(name)
        picked = np.random.default_rng(0).permutation(len(smiles))[: arguments.rows]
        rows = student.screen([smiles[i] for i in picked])
        z = student.embed(rows)
        good = np.flatnonzero(rows.valid)
        texts, y, z = [rows.inputs[i] for i in good], labels[picked][good], z[good]
        unsure = student.uncertainty(z)
        for split in ("random", "scaffold"):
            train, test = random_split(texts, 0) if split == "random" else scaffold_split(texts)
            x = (z - z[train].mean(0)) / (z[train].std(0) + 1e-6)
            errors = absolute_errors(x, y, train, test, name in CLASSIFICATION)
            scores = {
                "heads": unsure[test],
                "tanimoto": tanimoto_distance(texts, train, test),
                "embedding": embedding_distance(x, train, test),
            }
            found = correlations(errors, scores)
            found["heads - tanimoto"] = found["heads"] - found["tanimoto"]
            for measure, values in found.items():
                low, high = np.quantile(values[1:], [0.025, 0.975])
                lines.append((name, split, measure, len(test), values[0], low, high))
                everything[split, measure].append(values)
            text = "  ".join(f"{m} {v[0]:+.3f}" for m, v in found.items())
            print(f"{name:30}{split:10}{len(test):5}  {text}", flush=True)
    for (split, measure), values in everything.items():
        mean = np.mean(values, axis=0)
        low, high = np.quantile(mean[1:], [0.025, 0.975])
        lines.append(("mean", split, measure, 0, mean[0], low, high))
        print(f"{'mean of all sets':30}{split:10}{measure:18}{mean[0]:+.3f}  ({low:+.3f} … {high:+.3f})")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("dataset", "split", "measure", "test_rows", "spearman", "low", "high"))
        writer.writerows((*line[:4], *(f"{value:.4f}" for value in line[4:])) for line in lines)


if __name__ == "__main__":
    main()

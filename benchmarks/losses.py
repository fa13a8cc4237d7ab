"""The controlled study: one student, one corpus, one set of heads and steps; only the loss changes.

    python benchmarks/losses.py screen --jobs 2      # every loss, one seed, few steps
    python benchmarks/losses.py final --jobs 2       # the finalists and the baselines, three seeds, more steps
    python benchmarks/losses.py table                # means, paired differences to `paper`, tests

Needs stores of the teachers over one corpus (`molmv teachers embed`, see `make students`); the first ``--rows`` rows
are trained on, rows after them are for the information estimates. Resumable: a finished run is a file in ``--runs`` and
is not repeated. ``table`` gathers them into ``benchmarks/results/losses.csv`` and a Markdown table.

Judged without a label of TDC in training or choice of a step (the last one is taken):

- linear probe: ridge on standardised features, its penalty by leave-one-out inside the training part; five random 80/20
  splits, the same for all; AUROC of its score for classes (mean over labels), R² for numbers;
- k-NN probe: mean label of the ten nearest by cosine;
- nats: information about each teacher's first 32 principal components, seen through noise of a third of a standard
  deviation, on rows that no one has trained on (``molmv.information``); the same question for every loss.
"""

from __future__ import annotations

import argparse
import copy
import csv
import gzip
import json
import multiprocessing
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
TDC = Path(os.environ.get("MOLMV_MIRROR", ROOT.parent / "shared" / "data")) / "tdc"
TEACHERS = (
    "minimol",
    "pretrain-gnn-gcn-contextpred",
    "rdkit-descriptors",
    "ecfp",
    "topological-torsion-count",
    "maccs",
)
STUDENT = {"kind": "gine", "layers": 4, "width": 128, "expansion": 2, "embedding": 256}
HEADS = {"hidden": 256, "depth": 2}
STEPS = {"screen": 400, "final": 800}
SPLITS, NEIGHBOURS, LARGEST_SET = 5, 10, 3000
INFORMATION_ROWS, COMPONENTS, INFORMATION_NOISE = 5000, 32, 1 / 3

# "all" in a name: every teacher is a vector of real numbers; the others keep Bernoulli for bits and counts for counts.
LOSSES: dict[str, dict[str, Any]] = {
    "paper": {"objective": "gaussian", "noise": 0.0},
    "gaussian-0.3-all": {"objective": "gaussian", "noise": 0.3},
    "gaussian-0.5-all": {"objective": "gaussian", "noise": 0.5},
    "gaussian-1-all": {"objective": "gaussian", "noise": 1.0},
    "beta-all": {"objective": "beta_gaussian", "noise": 0.0},
    "lowrank-all": {"objective": "lowrank_gaussian", "noise": 0.5},
    "mixture-all": {"objective": "gaussian_mixture", "noise": 0.5},
    "mse-all": {"objective": "mse"},
    "cosine-all": {"objective": "cosine"},
    "smooth-l1-cosine-all": {"objective": "smooth_l1_cosine"},
    "matched-0": {"noise": 0.0},
    "matched-0.5": {"noise": 0.5},
    "matched-student-t": {"noise": 0.5, "likelihoods": {"rdkit-descriptors": "student_t"}},
    "matched-mse": {"likelihoods": dict.fromkeys(TEACHERS[:3], "mse")},
}
WEIGHTS = ("per_dimension", "uniform")
EXTRA = (("matched-0.5", "balanced"), ("mse-all", "balanced"))  # the other cure for unequal teachers
FINALISTS = ("paper", "mse-all", "cosine-all")  # always; `--add` names the others


def cells(stage: str, added: list[str]) -> list[tuple[str, str, int]]:
    """(loss, weights, seed) of every run of a stage."""
    if stage == "screen":
        grid = [(loss, weights, 0) for weights in WEIGHTS for loss in LOSSES]
        return [*grid, *((loss, weights, 0) for loss, weights in EXTRA)]
    chosen = [(loss, "per_dimension") for loss in FINALISTS] + [tuple(name.split("/")) for name in added]
    return [(loss, weights, seed) for seed in range(3) for loss, weights in chosen]


def train(cell: tuple[str, str, int], arguments: argparse.Namespace, folder: Path) -> Path:
    """One student."""
    import molmv
    from molmv.distill import run as training
    from molmv.distill.config import DataConfig, DistillConfig, LossConfig, TrackingConfig, TrainConfig
    from molmv.student import inputs

    if not hasattr(inputs.read_corpus, "cache_info"):  # one reading, one fitting for all runs of this process
        inputs.read_corpus = cache(inputs.read_corpus)
        training.fit_standardiser = _fit_once(training.fit_standardiser)
    loss, weights, seed = cell
    config = DistillConfig(
        name="study",
        output=str(folder),
        teachers=TEACHERS,
        data=DataConfig(str(arguments.corpus), str(arguments.stores), held_out=0.02, rows=arguments.rows),
        student=STUDENT,
        loss=LossConfig(weights=weights, **HEADS, **LOSSES[loss]),
        train=TrainConfig(
            steps=arguments.steps or STEPS[arguments.stage],
            batch_size=256,
            learning_rate=1e-3,
            weight_decay=0.01,
            threads=1,
            validate_every=500,
            checkpoint_every=250,
        ),
        tracking=TrackingConfig(mlflow=False),
        seed=seed,
    )
    return molmv.distill(config, resume=True)


def _fit_once(fit: Any) -> Any:
    known: dict[Any, Any] = {}

    def fitted(store: Any, rows: np.ndarray, mode: str) -> Any:
        key = (store.path, mode, rows.tobytes())
        if key not in known:
            known[key] = fit(store, rows, mode)
        return copy.deepcopy(known[key])

    return fitted


@cache
def tasks() -> dict[str, tuple[str, list[str], np.ndarray]]:
    """Of each set of the paper's 32 its metric, SMILES and labels (rows, labels); at most 3,000 rows, drawn once."""
    published = ROOT.parent / "shared" / "reference" / "published_per_task.csv"
    with published.open(newline="") as file:
        names = {row["dataset"].replace("__", "_") for row in csv.DictReader(file)} - {"ToxCast"}  # not in its means
    found = {}
    with (TDC / "SOURCES.csv").open(newline="") as file:
        kinds = {row["name"]: row for row in csv.DictReader(file)}
    for name in sorted(names):
        path = TDC / kinds[name]["file"]
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = list(csv.DictReader(file))
        columns = [column for column in rows[0] if column not in ("smiles", "id")]
        if len(rows) > LARGEST_SET:
            chosen = np.random.default_rng(0).choice(len(rows), LARGEST_SET, replace=False)
            rows = [rows[i] for i in sorted(chosen)]
        labels = np.array([[float(row[c] or "nan") for c in columns] for row in rows])
        metric = "auroc" if kinds[name]["task"] == "cls" else "r2"
        if name in ("Half_Life_Obach", "Clearance_Hepatocyte_AZ", "Clearance_Microsome_AZ"):
            labels = np.log10(labels)
        found[name] = (metric, [row["smiles"] for row in rows], labels)
    return found


def ridge_scores(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Predictions of a ridge regression; its penalty is the best of eleven by the leave-one-out error (closed form)."""
    spectrum, axes = np.linalg.eigh(x.T @ x)
    rotated, centred = x @ axes, y - y.mean()
    shrunk = 1 / (spectrum[:, None] + np.logspace(0, 5, 11))  # (features, penalties)
    weights = (rotated.T @ centred)[:, None] * shrunk
    leverage = rotated**2 @ shrunk + 1 / len(y)
    errors = (((centred[:, None] - rotated @ weights) / (1 - leverage)) ** 2).mean(0)
    return x_test @ (axes @ weights[:, errors.argmin()]) + y.mean()


def neighbour_scores(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Mean label of the nearest by cosine."""
    unit, unit_test = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, x_test))
    return y[np.argpartition(-(unit_test @ unit.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]].mean(1)


def probe(vectors: np.ndarray, labels: np.ndarray, metric: str) -> dict[str, float]:
    """Mean test score of both probes over labels and splits."""
    from sklearn.metrics import r2_score, roc_auc_score

    score = roc_auc_score if metric == "auroc" else r2_score
    scores: dict[str, list[float]] = {"linear": [], "knn": []}
    for column in labels.T:
        known = np.isfinite(vectors).all(1) & np.isfinite(column)
        x_all, y_all = vectors[known].astype(np.float64), column[known]
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(y_all))
            test, rest = order[: len(order) // 5], order[len(order) // 5 :]
            if metric == "auroc" and min(len(set(y_all[test])), len(set(y_all[rest]))) < 2:
                continue
            centre, scale = x_all[rest].mean(0), x_all[rest].std(0) + 1e-9
            x, x_test = (x_all[rest] - centre) / scale, (x_all[test] - centre) / scale
            for kind, predict in (("linear", ridge_scores), ("knn", neighbour_scores)):
                scores[kind].append(float(score(y_all[test], predict(x, y_all[rest], x_test))))
    return {kind: float(np.mean(values)) for kind, values in scores.items()}


def information(student: Any, arguments: argparse.Namespace) -> dict[str, float]:
    """Nats about every teacher, on rows after the trained ones."""
    import torch

    from molmv.distill.data import open_stores
    from molmv.information import estimate_information

    stores = open_stores(arguments.stores, TEACHERS)
    rows = np.arange(arguments.rows, arguments.rows + INFORMATION_ROWS)
    rows = rows[np.logical_and.reduce([store.valid[rows] for store in stores.values()])]
    smiles = corpus(arguments.corpus, arguments.rows + INFORMATION_ROWS)
    z = student.embed(student.screen([smiles[i] for i in rows]))
    good = np.isfinite(z).all(1)
    found = {}
    for name, store in stores.items():
        values = principal_components(store.take(rows[good]).astype(np.float64))
        found[name] = estimate_information(
            torch.from_numpy(z[good]), values, noise=INFORMATION_NOISE, epochs=12, extrapolate=False
        ).nats
    return found


def principal_components(values: np.ndarray) -> Any:
    """The first components of standardised and clipped columns, each with unit variance."""
    import torch

    low, high = np.nanquantile(values, [0.005, 0.995], axis=0)
    values = values.clip(low, high)
    values = values[:, values.std(0) > 0]
    values = (values - values.mean(0)) / values.std(0)
    _, axes = np.linalg.eigh(values.T @ values / len(values))
    scores = values @ axes[:, ::-1][:, :COMPONENTS]
    return torch.from_numpy(scores / scores.std(0)).float()


@cache
def corpus(path: Path, rows: int) -> list[str]:
    """The first SMILES of the corpus."""
    with path.open() as file:
        return [line.split()[0] for line, _ in zip(file, range(rows), strict=False)]


def run(cell: tuple[str, str, int], arguments: argparse.Namespace) -> None:
    """Train, judge, write one file."""
    name = f"{arguments.stage}-{cell[0]}-{cell[1]}-{cell[2]}"
    result = arguments.runs / f"{name}.json"
    if result.exists():
        return
    import torch

    from molmv.models import load_student

    torch.set_num_threads(1)
    start = time.process_time()
    folder = train(cell, arguments, arguments.runs / name)
    trained = time.process_time() - start
    student = load_student(str(folder))
    scores = {}
    for task, (metric, smiles, labels) in tasks().items():
        scores[task] = {"metric": metric, **probe(student.embed(student.screen(smiles)), labels, metric)}
    nats = information(student, arguments) if arguments.stage == "final" else {}
    summary = json.loads((folder.parent / "summary.json").read_text())
    content = {
        "stage": arguments.stage, "loss": cell[0], "weights": cell[1], "seed": cell[2], "cpu_seconds": round(trained),
        "steps": arguments.steps or STEPS[arguments.stage], "scores": scores, "nats": nats, "held_out": summary,
    }  # fmt: skip
    result.with_suffix(".part").write_text(json.dumps(content, indent=1))
    result.with_suffix(".part").rename(result)
    for checkpoint in (arguments.runs / name / "checkpoints").glob("*.ckpt"):
        checkpoint.unlink()
    print(f"{name:48}{_means(content)}  {trained:.0f} s", flush=True)


def _means(content: dict[str, Any]) -> str:
    parts = []
    for kind in ("linear", "knn"):
        for metric in ("auroc", "r2"):
            values = [s[kind] for s in content["scores"].values() if s["metric"] == metric]
            parts.append(f"{kind} {metric} {np.mean(values):.4f}")
    return "  ".join(parts) + f"  nats {sum(content['nats'].values()):.1f}"


def run_all(work: Any, items: list[Any], arguments: argparse.Namespace) -> None:
    """``work(item, arguments)`` for every item, in ``arguments.jobs`` processes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for item in [*items, *[None] * arguments.jobs]:
        queue.put(item)
    workers = [context.Process(target=_work, args=(work, arguments, queue)) for _ in range(arguments.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _work(work: Any, arguments: argparse.Namespace, queue: Any) -> None:
    while (item := queue.get()) is not None:
        work(item, arguments)


def table(arguments: argparse.Namespace) -> None:
    """All finished runs: one CSV row a run and set, and for each stage a Markdown table of means and paired tests."""
    from scipy.stats import wilcoxon

    found = [json.loads(path.read_text()) for path in sorted(arguments.runs.glob("*.json"))]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("stage", "loss", "weights", "seed", "steps", "dataset", "metric", "linear", "knn"))
        for r in found:
            for task, s in r["scores"].items():
                key = (r["stage"], r["loss"], r["weights"], r["seed"], r["steps"], task, s["metric"])
                writer.writerow((*key, f"{s['linear']:.5f}", f"{s['knn']:.5f}"))
    for stage in ("screen", "final"):
        runs = [r for r in found if r["stage"] == stage]
        kinds = sorted({(r["loss"], r["weights"]) for r in runs})
        if not kinds:
            continue
        per_task = {}  # (loss, weights) -> probe -> score of each set, mean over seeds
        for kind in kinds:
            own = [r for r in runs if (r["loss"], r["weights"]) == kind]
            per_task[kind] = {
                p: np.array([np.mean([r["scores"][t][p] for r in own]) for t in sorted(own[0]["scores"])])
                for p in ("linear", "knn")
            }
        is_auroc = np.array([s["metric"] == "auroc" for _, s in sorted(runs[0]["scores"].items())])
        base = per_task.get(("paper", "per_dimension"))
        print(f"\n### {stage}\n\n| loss | weights | seeds | linear AUROC | linear R² | k-NN AUROC | k-NN R² | nats | "
              "sets above paper (linear) | p | p (k-NN) |\n|" + "---|" * 11)  # fmt: skip
        for kind in sorted(kinds, key=lambda k: -per_task[k]["linear"].mean()):
            own = [r for r in runs if (r["loss"], r["weights"]) == kind]
            means = [per_task[kind][p][mask].mean() for p in ("linear", "knn") for mask in (is_auroc, ~is_auroc)]
            nats = f"{np.mean([sum(r['nats'].values()) for r in own]):.1f}" if own[0]["nats"] else ""
            versus = ["", "", ""]
            if base is not None and kind != ("paper", "per_dimension"):
                gains = [per_task[kind][p] - base[p] for p in ("linear", "knn")]
                versus = [f"{(gains[0] > 0).sum()} of {len(gains[0])}", *(f"{wilcoxon(g).pvalue:.2g}" for g in gains)]
            numbers = " | ".join(f"{m:.4f}" for m in means)
            print(f"| {kind[0]} | {kind[1]} | {len(own)} | {numbers} | {nats} | {' | '.join(versus)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=("screen", "final", "table"))
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "corpus.smi")
    parser.add_argument("--stores", type=Path, default=ROOT / "build" / "store")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "losses")
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--steps", type=int, default=0, help="instead of the stage's own number")
    parser.add_argument("--add", nargs="*", default=[], metavar="LOSS/WEIGHTS", help="finalists besides the baselines")
    parser.add_argument("--only", nargs="*", help="losses of the stage, instead of all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks" / "results" / "losses.csv")
    arguments = parser.parse_args()
    if arguments.stage == "table":
        return table(arguments)
    if not TDC.is_dir():
        sys.exit(f"{TDC} is absent: set MOLMV_MIRROR to the folder that holds tdc/")
    arguments.runs.mkdir(parents=True, exist_ok=True)
    chosen = [c for c in cells(arguments.stage, arguments.add) if not arguments.only or c[0] in arguments.only]
    run_all(run, chosen, arguments)
    return None


if __name__ == "__main__":
    main()

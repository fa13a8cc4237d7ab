"""Experiments on the student: one change at a time from a plain one, judged as `losses.py` judges losses.

    python benchmarks/students.py run --jobs 2             # every experiment that has not been run
    python benchmarks/students.py run --only wide virtual-node
    python benchmarks/students.py models minimol ecfp-count molmv-small   # the same probes
    python benchmarks/students.py run --curves             # over molecules, teachers, size and steps, instead
    python benchmarks/students.py table                    # `benchmarks/results/students.csv`, and a Markdown table

All experiments have the corpus, the held-out rows, the heads, and unless they say otherwise the steps in common. What
they showed is in `benchmarks/EXPERIMENTS.md`. The probes use labels of TDC: a choice made
by them is tuned on these sets.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from losses import ROOT, probe, run_all, tasks

SIX = ("minimol", "pretrain-gnn-gcn-contextpred", "rdkit-descriptors", "ecfp", "topological-torsion-count", "maccs")
GRAPH = ("pretrain-gnn-graphsage-contextpred", "pretrain-gnn-gat-contextpred")
COUNTS = ("ecfp-count", "atom-pair-count")
BERT = ("rxnfp-bert-pretrained",)
FIVE = (*SIX[:2], *SIX[3:])  # those that embed a million molecules within an hour: without descriptors
NINE = (*SIX[:3], "ecfp-count", "atom-pair-count", *SIX[4:], *GRAPH[:1], *BERT)  # ecfp's bits are in its counts

PLAIN: dict[str, Any] = {
    "teachers": SIX,
    "student": {"kind": "gine", "layers": 4, "width": 128, "expansion": 2, "embedding": 512},
    "loss": {"objective": "gaussian", "noise": 1.0, "hidden": 512, "depth": 1},
    "train": {"steps": 800, "batch_size": 256, "learning_rate": 1e-3},
    "rows": 0,  # what --rows says
}
# name: what is changed, by part
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "embedding-256": {"student": {"embedding": 256}},
    "embedding-1024": {"student": {"embedding": 1024}},
    "readout-all": {"student": {"readout": "all"}},
    "nine": {"teachers": NINE},
    "eleven": {"teachers": (*SIX, *GRAPH, *COUNTS, *BERT)},
    "no-minimol": {"teachers": SIX[1:]},
    "fingerprints": {"teachers": (*SIX[3:], *COUNTS)},
    "networks": {"teachers": (*SIX[:2], *GRAPH, *BERT)},
    "small-batch": {"train": {"steps": 1600, "batch_size": 128}},
    "rate-2e-3": {"train": {"learning_rate": 2e-3}},
    "deep-heads": {"loss": {"depth": 2}},
    "linear-heads": {"loss": {"depth": 0}},
    "double": {"train": {"steps": 1600}},
}
# As `configs/molmv-base-longer.toml`, from the beginning and in fewer steps.
LARGE: dict[str, Any] = {
    "teachers": FIVE,
    "student": {"layers": 5, "width": 384, "hidden": 1024},
    "loss": {
        "objective": "nll",
        "depth": 0,
        "likelihoods": {"topological-torsion-count": "gaussian"},
        "weights": dict(zip(FIVE, (8.0, 1.0, 5.0, 1.0, 2.0), strict=True)),
    },
    "train": {"steps": 3200},
}
# One quantity at a time; the plain student is a point of each.
CURVES: dict[str, dict[str, Any]] = {
    "plain": {},
    **{f"{rows:,} molecules": {"rows": rows} for rows in (5_000, 10_000, 20_000)},
    **{
        f"{rows:,} molecules, 3,200 steps": {"rows": rows, "train": {"steps": 3200}}
        for rows in (10_000, 30_000, 100_000, 240_000, 300_000)
    },
    **{
        f"{rows:,} molecules, 3,200 steps, five teachers": {"rows": rows, "teachers": FIVE, "train": {"steps": 3200}}
        for rows in (30_000, 300_000, 1_000_000)
    },
    **{f"{rows:,} molecules, large": {**LARGE, "rows": rows} for rows in (30_000, 300_000, 1_000_000)},
    "MiniMol alone, large": {**LARGE, "teachers": SIX[:1], "loss": {"objective": "nll", "depth": 0}},
    **{f"{count} teachers": {"teachers": NINE[:count]} for count in (1, 2, 4, 9)},
    **{f"width {width}": {"student": {"width": width}} for width in (64, 256)},
    **{f"{steps:,} steps": {"train": {"steps": steps}} for steps in (200, 400, 1600)},
}


def settings(name: str) -> dict[str, Any]:
    """The plain student's settings with the changes of one experiment."""
    changes = {**EXPERIMENTS, **CURVES}[name]
    return {
        part: {**value, **changes.get(part, {})} if isinstance(value, dict) else changes.get(part, value)
        for part, value in PLAIN.items()
    }


def train(name: str, arguments: argparse.Namespace, folder: Path) -> Path:
    """One student."""
    import molmv
    from molmv.distill.config import (
        DataConfig,
        DistillConfig,
        InformationConfig,
        LossConfig,
        TrackingConfig,
        TrainConfig,
    )

    chosen = settings(name)
    config = DistillConfig(
        name=name,
        output=str(folder),
        teachers=chosen["teachers"],
        data=DataConfig(
            str(arguments.corpus), str(arguments.stores), held_out=0.02, rows=chosen["rows"] or arguments.rows
        ),
        student=chosen["student"],
        loss=LossConfig(**chosen["loss"]),
        train=TrainConfig(**chosen["train"], threads=1, validate_every=800, checkpoint_every=400),
        tracking=TrackingConfig(mlflow=False),
        information=InformationConfig(rows=0),
        seed=arguments.seed,
    )
    return molmv.distill(config, resume=True)


def judge(model: Any) -> dict[str, dict[str, Any]]:
    """Scores of both probes on every set."""
    return {
        task: {"metric": metric, **probe(model.embed(model.screen(smiles)), labels, metric)}
        for task, (metric, smiles, labels) in tasks().items()
    }


def run(name: str, arguments: argparse.Namespace) -> None:
    """Train, judge, write one file."""
    result = arguments.runs / f"{name}-{arguments.seed}.json"
    if result.exists():
        return
    import torch

    from molmv.models import load_student

    torch.set_num_threads(1)
    start = time.process_time()
    folder = train(name, arguments, arguments.runs / f"{name}-{arguments.seed}")
    trained = time.process_time() - start
    summary = json.loads((folder.parent / "summary.json").read_text())
    _write(result, name, judge(load_student(str(folder))), round(trained), summary, arguments.seed)


def judge_models(arguments: argparse.Namespace) -> None:
    """Teachers and finished students through the same probes."""
    from molmv.models import load_embedder

    for name in arguments.names:
        result = arguments.runs / f"model-{Path(name).name}-0.json"
        if not result.exists():
            _write(result, f"model-{Path(name).name}", judge(load_embedder(name)), 0, {})


def _write(
    result: Path, name: str, scores: dict[str, dict[str, Any]], seconds: int, held_out: dict[str, Any], seed: int = 0
) -> None:
    content = {"name": name, "seed": seed, "cpu_seconds": seconds, "scores": scores, "held_out": held_out}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.with_suffix(".part").write_text(json.dumps(content, indent=1))
    result.with_suffix(".part").rename(result)
    print(f"{name:24} {' '.join(f'{mean:.4f}' for mean in _means(scores.values()))}  {seconds} s", flush=True)


def _means(scores: Iterable[dict[str, Any]]) -> list[float]:
    rows = list(scores)
    return [
        float(np.mean([float(s[kind]) for s in rows if s["metric"] == metric]))
        for kind in ("linear", "knn")
        for metric in ("auroc", "r2")
    ]


def table(arguments: argparse.Namespace) -> None:
    """One CSV row a run and set, beside those of earlier runs; a Markdown table, tests against ``--against``."""
    from scipy.stats import wilcoxon

    runs: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # name and seed -> dataset -> its row
    if arguments.output.exists():
        with arguments.output.open(newline="") as file:
            for row in csv.DictReader(file):
                runs.setdefault((row["name"], row["seed"]), {})[row["dataset"]] = row
    for path in arguments.runs.glob("*.json"):
        r = json.loads(path.read_text())
        key = {"name": r["name"], "seed": str(r["seed"])}
        runs[r["name"], str(r["seed"])] = {
            task: {**key, "dataset": task, "metric": s["metric"], **{k: f"{s[k]:.5f}" for k in ("linear", "knn")}}
            for task, s in r["scores"].items()
        }
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("name", "seed", "dataset", "metric", "linear", "knn"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for _, rows in sorted(runs.items()) for row in rows.values())
    print("| experiment | linear AUROC | linear R² | k-NN AUROC | k-NN R² | sets won | p |\n" + "|---" * 7 + "|")
    base = runs.get((arguments.against, "0"))
    for (name, seed), scores in sorted(runs.items(), key=lambda item: -sum(_means(item[1].values())[:2])):
        versus = ["", ""]
        if base and scores is not base:
            gains = [float(scores[task]["linear"]) - float(row["linear"]) for task, row in base.items()]
            versus = [f"{sum(g > 0 for g in gains)} of {len(gains)}", f"{wilcoxon(gains).pvalue:.2g}"]
        means = " | ".join(f"{m:.4f}" for m in _means(scores.values()))
        print(f"| {name}, seed {seed} | {means} | {' | '.join(versus)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "models", "table"))
    parser.add_argument("names", nargs="*", help="models to judge")
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "corpus.smi")
    parser.add_argument("--stores", type=Path, default=ROOT / "build" / "store")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "students")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "students.csv")
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], choices=[*EXPERIMENTS, *CURVES])
    parser.add_argument("--against", default="plain", help="what a table compares with")
    parser.add_argument("--curves", action="store_true", help="instead of the experiments")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "table":
        table(arguments)
    elif arguments.what == "models":
        judge_models(arguments)
    else:
        run_all(run, arguments.only or list(CURVES if arguments.curves else EXPERIMENTS), arguments)


if __name__ == "__main__":
    main()

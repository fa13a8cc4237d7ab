"""From an assay file to a tested property model: read, embed, split, choose a head, test, write, track."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import molmv
from molmv.embedder import Embedder
from molmv.errors import InputError, MissingExtraError, OutputError
from molmv.evaluate.splits import KINDS, scaffold_groups
from molmv.featurizing import DEFAULT_MODEL, reads_of
from molmv.predicting import report, tested
from molmv.predicting.assay import CLASSIFICATION, read_assay
from molmv.predicting.domain import Domain
from molmv.predicting.gathering import Gathered, cut, gather
from molmv.predicting.heads import HEADS
from molmv.predicting.intervals import VennAbers, conformal_width
from molmv.predicting.predictor import FOLDER, Predictor
from molmv.predicting.selection import Candidate, Model, assign_folds, candidates, left_out
from molmv.tracking.runs import FinishedRun, LoggedRun, log_run
from molmv.tracking.versions import environment

EXPERIMENT = "molmv fit"
REPORT = "report"


@dataclass(frozen=True)
class FitResult:
    """What :func:`molmv.fit` found.

    Attributes:
        predictor: the model that was kept.
        table: every head and the baselines on the same test molecules.
        figures: numbers about the kept model: its test figures, coverage, ….
        notes: what a user should know: merged, left out, warned of.
        folder: where everything is.
        run: where it is logged; None if it is not.
    """

    predictor: Predictor
    table: list[tested.Line]
    figures: dict[str, float]
    notes: list[str]
    folder: Path
    run: LoggedRun | None = None


def fit(
    path: str | Path,
    target: str,
    model: str | Embedder = DEFAULT_MODEL,
    *,
    split: str = "scaffold",
    test: str | Path | None = None,
    test_share: float = 0.2,
    head: str = "auto",
    task: str = "auto",
    censored: str = "refuse",
    smiles_column: str | None = None,
    id_column: str | None = None,
    folds: int = 5,
    level: float = 0.9,
    seed: int = 0,
    refit: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    mlflow: str | None = "",
    device: str = "auto",
    progress: Callable[[int, float | None], None] = lambda done, fraction: None,
) -> FitResult:
    """Fit and test a property model on frozen embeddings.

    Every head is tuned by cross-validation inside the training part, the best one is kept, and all are tested on the
    same molecules beside ECFP with a random forest. The choice never sees the test part.

    Args:
        path: csv, tsv, smi or parquet with SMILES and measured values.
        target: the column of values.
        model: student, teacher, checkpoint folder, or any :class:`~molmv.embedder.Embedder`.
        split: ``scaffold`` (whole scaffolds are tested) or ``random``; the folds are cut the same way.
        test: a file to test on instead of a part of ``path``.
        test_share: of the molecules, if there is no ``test``.
        head: ``auto``, or one of :data:`molmv.predicting.heads.HEADS`.
        task: ``auto``, ``regression`` or ``classification`` (two classes).
        censored: what to do with values like ``>100``: ``refuse``, ``drop``, ``keep-bound``.
        smiles_column: found by its name if not given.
        id_column: carried along.
        folds: of the cross-validation.
        level: share of new values that an interval is to hold.
        seed: of split and folds.
        refit: keep a model of all molecules, test part included; the figures are of the one without.
        out: folder of everything that is written; default: ``FILE_TARGET`` in the working directory.
        overwrite: write into that folder even if it holds something.
        mlflow: tracking URI; empty for the default store, None for no tracking.
        device: of a model given by name.
        progress: called with the rows fitted so far, again for each try, and the fraction of the tries.

    Raises:
        InputError: see :func:`molmv.predicting.assay.read_assay`; too few molecules; an unknown split or head; a model
            that reads no molecules.
        OutputError: the folder holds something already, or cannot be written.
        MissingExtraError: scikit-learn is not installed.
    """
    folder = Path(out or f"{Path(path).name.partition('.')[0]}_{target}".replace("/", "-"))
    _check(split, head, level, folds, folder, overwrite)
    if (reads := reads_of(model).name) != "molecule":
        raise InputError(
            f"molmv fit is for molecules (scaffolds, fingerprints beside), this model reads modality {reads}.",
            f"Use molmv evaluate -p {reads} -t FILE:LABEL, or fit a head of yours to molmv.featurize(FILE, MODEL).X.",
        )
    columns: dict[str, Any] = {"smiles_column": smiles_column, "id_column": id_column}
    assays = [read_assay(path, target, task=task, censored=censored, **columns)]
    task, classes = assays[0].task, assays[0].classes
    if test is not None:
        assays.append(read_assay(test, target, task=task, classes=classes, censored=censored, **columns))
    embedder, source = _embedder(model, device)
    data = gather(assays, embedder)
    parts = cut(data, split, test_share, seed)
    groups = scaffold_groups(data.smiles) if split == "scaffold" else None
    classify = task == CLASSIFICATION

    def assigned(rows: np.ndarray) -> np.ndarray:
        return assign_folds(data.y[rows], None if groups is None else groups[rows], classify, folds, seed, classes)

    rows, fold = parts.train, assigned(parts.train)
    if len(np.unique(data.y[rows])) < 2:
        raise InputError(f"All {len(rows)} molecules of the training part have one value.", "Use another --split.")
    kinds = list(HEADS) if head == "auto" else [head]
    found = candidates(data.X[rows], data.y[rows], fold, classify, kinds, progress)
    best = found[0]
    learned = _learn(best, data, rows, fold, classify, level)
    predictor = Predictor(assays[0].target, task, classes, embedder, source, level=level, **learned)
    table = tested.compare(found, data, parts, classify)
    test_part = tested.test_part(predictor, data, parts)
    figures = tested.figures(predictor, table, test_part)
    notes = [note for assay in assays for note in assay.notes] + data.notes
    kept = predictor
    if refit:
        everything = np.arange(len(data.y))
        fold_all = assigned(everything)
        again = left_out(best.kind, best.parameters, data.X, data.y, fold_all, classify)
        learned = _learn(replace(best, left_out=again), data, everything, fold_all, classify, level)
        kept = replace(predictor, **learned)
        notes.append("the kept model was fitted again on all molecules; the figures are of the one without the test")
    parameters: dict[str, Any] = {
        "data": {"file": Path(path).name, "sha256": assays[0].sha256},
        "test_data": {"file": Path(test).name, "sha256": assays[1].sha256} if test is not None else {},
        "molecules": {"train": len(parts.train), "test": len(parts.test)},
        "target": kept.target,
        "task": task,
        "model": {"name": embedder.name, "digest": embedder.digest, "dim": embedder.dim},
        "head": {"asked": head, "kind": best.kind, **best.parameters},
        **{"split": split if test is None else "file", "test_share": test_share, "folds": folds, "level": level},
        **{"censored": censored, "seed": seed, "refit": refit},
    }
    versions = {**environment(), "molmv": molmv.__version__}
    figures = {name: value for name, value in figures.items() if np.isfinite(value)}
    kept.provenance = {"fit": parameters, "figures": figures, "versions": versions, "embedder": embedder.provenance}
    kept.save(folder / FOLDER)
    sheet = report.Sheet(assays, data.origin, parts, fold, best.left_out, test_part)
    report.write(folder / REPORT, sheet, table, figures, notes, parameters, versions)
    result = FitResult(kept, table, figures, notes, folder)
    return result if mlflow is None else replace(result, run=_track(result, mlflow, parameters))


def _check(split: str, head: str, level: float, folds: int, folder: Path, overwrite: bool) -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "evaluate") from error
    if split not in KINDS:
        raise InputError(f"No split is called {split!r}.", f"Known: {', '.join(KINDS)}.")
    if head != "auto" and head not in HEADS:
        raise InputError(f"No head is called {head!r}.", f"Known: auto, {', '.join(HEADS)}.")
    if not 0 < level < 1 or folds < 2:
        raise InputError(f"Level {level}, {folds} folds: expected a level between 0 and 1, and two folds or more.")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file.", "Name a folder with -o.")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder} holds something already.", "Add --overwrite (overwrite=True), or name another -o.")


def _embedder(model: str | Embedder, device: str) -> tuple[Embedder, str]:
    """The embedder, and the name or folder under which a predictor finds it again; empty for an object."""
    if not isinstance(model, str | Path):
        return model, ""
    from molmv.models import load_embedder

    return load_embedder(str(model), device), str(model)


def _learn(
    candidate: Candidate, data: Gathered, rows: np.ndarray, fold: np.ndarray, classify: bool, level: float
) -> dict[str, Any]:
    """The parts of a predictor that come from some rows and what cross-validation said of each of them."""
    y = data.y[rows]
    return {
        "model": Model.fit(candidate.kind, candidate.parameters, data.X[rows], y, classify),
        "width": 0.0 if classify else conformal_width(y - candidate.left_out, level),
        "calibration": VennAbers.fit(candidate.left_out, y) if classify else None,
        "domain": Domain.fit(data.bits[rows], fold),
    }


def _track(result: FitResult, uri: str, parameters: dict[str, Any]) -> LoggedRun | None:
    heads: dict[str, float] = {}
    for line in result.table:
        name = line.name.replace(" + ", "-").replace(" ", "-")
        heads |= {f"models.{name}.{key}": value for key, value in {"cv": line.cv, **line.test}.items()}
    run = FinishedRun(
        experiment=EXPERIMENT,
        name=f"{result.predictor.target}, {result.predictor.embedder.name}",
        folder=result.folder / REPORT,
        parameters=parameters,
        metrics={**result.figures, **heads},
        tags={"molmv": molmv.__version__, "data.sha256": parameters["data"]["sha256"]},
        predictor=result.folder / FOLDER if result.predictor.source else None,  # an object cannot be loaded again
    )
    return log_run(run, uri, fallback=result.folder)

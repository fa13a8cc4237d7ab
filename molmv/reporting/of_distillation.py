"""The folder of a distillation: curves, nats, how alike student and teachers are, and a map of its corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from molmv.distill.config import DistillConfig, config_of
from molmv.distill.data import open_stores
from molmv.distill.run import STUDENT, check_corpus
from molmv.documents import read_json
from molmv.embeddings import EmbeddingStore
from molmv.errors import CheckpointError
from molmv.reporting import charts
from molmv.reporting.blocks import Block, Chart, Section, Table, Text
from molmv.reporting.chemical_space import Molecules, chemical_space
from molmv.reporting.learning import MEASURES, PARTS, Point, curves, nats
from molmv.reporting.of_embeddings import sample
from molmv.reporting.of_stores import FEWEST, MOST, agreement_blocks, common_rows
from molmv.student.checkpoint import CONFIG

if TYPE_CHECKING:
    from molmv.reporting.sections import Options
    from molmv.student.embed import Student


def sections(path: Path, options: Options) -> list[Section]:
    """A section of the training, and one of the student where there is one whose corpus is here.

    Raises:
        InputError, CheckpointError, StoreError: something damaged, or a corpus that is not that of the run.
    """
    found = [Section(f"Distillation: {path.name}", _training(path))]
    if (path / STUDENT / CONFIG).is_file():
        found.append(Section(f"Student: {path.name}", _student(path, options)))
    return found


def _training(path: Path) -> list[Block]:
    blocks: list[Block] = []
    held = nats(path)
    if held:
        rows = [(name, *(float(one[key]) for key in ("nats", "low", "high", "most"))) for name, one in held.items()]
        numbers = Table("Numbers", ("teacher", "nats", "low", "high", "at most"), rows, folded=True)
        blocks.append(Chart("What the student holds of each teacher, in nats", charts.nats(held), numbers))
        blocks.append(
            Text(
                "Nats of the first principal components of each teacher, seen through noise, on held-out rows; with "
                "95 % intervals. A lower bound for the whole teacher."
            )
        )
    points = curves(path)
    for teacher in dict.fromkeys(point.teacher for point in points):
        for measure in MEASURES:
            mine = [point for point in points if (point.teacher, point.measure) == (teacher, measure)]
            if mine:
                blocks.append(Chart(f"{teacher}: {MEASURES[measure]}", charts.curve(mine, measure), _last(mine)))
    return blocks or [Text("The folder holds neither a log nor an estimate of information.")]


def _last(points: list[Point]) -> Table:
    rows = [(p.step, PARTS[p.part], p.value) for p in points[-12:]]
    return Table("Last numbers", ("step", "rows", "value"), rows, folded=True)


def _student(path: Path, options: Options) -> list[Block]:
    from molmv.student.embed import Student

    content = _read(path / STUDENT / CONFIG)
    if content.get("kind") != "gine":
        return [Text(f"A student of kind {content.get('kind')}: there are no molecules to draw.")]
    config = config_of(content.get("provenance", {}).get("config", {}), f"{path / STUDENT / CONFIG}: config")
    corpus = options.corpus or Path(config.data.corpus)
    if not corpus.is_file():
        return [Text(f"No map: its corpus {corpus} is not here. Say where it is with --corpus.")]
    stores = _stores(config, options, corpus)
    student = Student.load(path / STUDENT)
    smiles = _column(corpus)
    usable = common_rows(stores, options.molecules, options.seed) if stores else np.arange(len(smiles))
    chosen = sample(usable, options.molecules, options.seed)
    rows = student.screen([smiles[row] for row in chosen])
    Z = student.embed(rows)
    kept = np.isfinite(Z).all(axis=1)
    chosen, Z = chosen[kept], Z[kept]
    shown = [smiles[row] or "" for row in chosen]
    words = f"{len(chosen):,} molecules of the corpus, chosen at random, as the student sees them. "
    blocks: list[Block] = [Text(words + ("" if stores else "Its stores are not here: --stores says where they are."))]
    if len(chosen) >= 2:
        found = Molecules(shown, [f"row {row}" for row in chosen], Z, _colours(student, stores, chosen, Z))
        blocks += chemical_space(found, options.tsne, options.seed)
    few = slice(0, MOST)
    if stores and len(chosen[few]) >= FEWEST:
        vectors = {name: store.take(chosen[few]) for name, store in stores.items()}
        blocks += agreement_blocks({"student": Z[few], **vectors})
    return blocks


def _stores(config: DistillConfig, options: Options, corpus: Path) -> dict[str, EmbeddingStore]:
    folder = options.stores or Path(config.data.stores)
    if not folder.is_dir():
        return {}
    stores = open_stores(folder, config.teachers)
    check_corpus(corpus, stores)
    return stores


def _column(corpus: Path) -> list[str | None]:
    from molmv.table import open_table

    return [value for chunk in open_table(corpus).chunks(100_000) for value in chunk.values]


def _colours(
    student: Student, stores: dict[str, EmbeddingStore], rows: Int[np.ndarray, " n"], Z: Float[np.ndarray, "n dim"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """What the student expects not to know, and how far it is from what each teacher said."""
    import torch

    try:
        heads = student.heads
    except CheckpointError:
        return {}
    found = {}
    for name in stores:
        if name in heads.teachers:
            said = stores[name].take(rows).astype(np.float64)
            expected, _ = heads.predict(name, torch.from_numpy(Z))
            scale = said.std(0)
            miss = np.abs(said - expected.numpy())[:, scale > 1e-6] / scale[scale > 1e-6]
            # In standard deviations; few columns with a wild outlier shall not decide.
            found[f"distance to {name}"] = np.minimum(miss, 5).mean(axis=1)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error

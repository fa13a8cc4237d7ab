"""How fast this machine embeds, stage by stage: what holds it up, and how long a library would take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from molmv import formats
from molmv.embedder import Embedder
from molmv.errors import InputError
from molmv.graphs import featurise
from molmv.modality import read_by
from molmv.models import load_embedder
from molmv.parts import open_parts
from molmv.rows import Rows
from molmv.student.graph_runner import GraphRunner
from molmv.table import Chunk, open_table
from molmv.trial_molecules import trial_molecules

T = TypeVar("T")
DEFAULT_ROWS = 8192
_WARM_UP = 64


@dataclass(frozen=True)
class Bench:
    """Seconds of each stage of ``molmv featurize``.

    Attributes:
        model: its name.
        source: where the molecules are from.
        rows: how many were embedded.
        loading: seconds until the model was there.
        stages: name -> seconds for all rows, in order.
    """

    model: str
    source: str
    rows: int
    loading: float
    stages: dict[str, float]

    @property
    def rate(self) -> float:
        """Molecules a second, all stages together, without loading."""
        return self.rows / sum(self.stages.values())

    @property
    def bottleneck(self) -> str:
        """The stage that takes longest."""
        return max(self.stages, key=lambda name: self.stages[name])

    def seconds(self, molecules: int) -> float:
        """What so many molecules like these would take in one process."""
        return self.loading + molecules / self.rate

    def lines(self, molecules: int) -> list[str]:
        """For people.

        Args:
            molecules: how many to estimate the time for.
        """
        whole = sum(self.stages.values())
        table = [
            f"{name:10} {self.rows / max(seconds, 1e-9):12,.0f} {seconds / whole:8.1%}"
            + ("   <- bottleneck" if name == self.bottleneck else "")
            for name, seconds in self.stages.items()
        ]
        estimate = timedelta(seconds=round(self.seconds(molecules)))
        return [
            f"{self.model}, {self.rows:,} molecules of {self.source}, one process; loading {self.loading:.1f} s",
            f"{'stage':10} {'molecules/s':>12} {'time':>8}",
            *table,
            f"{'together':10} {self.rate:12,.0f}",
            f"{molecules:,} molecules like these: {estimate}; with --workers N up to N times faster, one for a core",
        ]


def bench(
    model: str, path: str | Path | None = None, rows: int = DEFAULT_ROWS, device: str = "auto", dtype: str = "float32"
) -> Bench:
    """Run the stages of ``molmv featurize`` one by one on the first rows of a file, and time each.

    Args:
        model: see :func:`molmv.models.load_embedder`.
        path: a file of molecules like those that are meant; None for made-up molecules.
        rows: how many to embed.
        device: for the model.
        dtype: of the embeddings in the file.

    Raises:
        InputError: a file that cannot be read or has no rows.
        UnknownNameError: no model of that name.
    """
    start = time.perf_counter()
    embedder = load_embedder(model, device)
    if read_by(embedder).name != "molecule":
        raise InputError(f"{embedder.name} reads no molecules, and only these are timed.", "Time `molmv featurize`.")
    embedder.embed(embedder.screen(trial_molecules()[:_WARM_UP]))
    loading = time.perf_counter() - start
    stages: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        source, name = (_made_up(Path(folder)), "made-up molecules") if path is None else (path, str(path))
        chunk = _timed(stages, "read", lambda: next(open_table(source).chunks(rows), None))
        if chunk is None:
            raise InputError(f"{name} has no rows.", "Give a file of molecules.")
        found, X = _embed(embedder, chunk, stages)
        _timed(stages, "write", lambda: _write(Path(folder), chunk, found, X, dtype))
    return Bench(embedder.name, name, len(chunk), loading, stages)


def _embed(embedder: Embedder, chunk: Chunk, stages: dict[str, float]) -> tuple[Rows, np.ndarray]:
    rows = _timed(stages, "screen", lambda: embedder.screen(chunk.values, chunk.problems))
    runner = getattr(embedder, "runner", None)
    if isinstance(runner, GraphRunner):
        graphs = _timed(stages, "parse", lambda: featurise(rows))
        return rows, _timed(stages, "network", lambda: runner.encode(graphs))
    return rows, np.asarray(_timed(stages, "embed", lambda: embedder.embed(rows)), np.float32)


def _write(folder: Path, chunk: Chunk, rows: Rows, X: np.ndarray, dtype: str) -> None:
    out = folder / "out.parquet"
    schema = formats.schema(X.shape[1], None, {}, dtype=dtype)
    with open_parts(out, {}, schema, resume=False, overwrite=False) as parts:
        parts.add(formats.to_table(schema, 0, chunk.values, None, rows, X))
        formats.write(out, schema, parts.tables, out.suffix)


def _made_up(folder: Path) -> Path:
    path = folder / "in.smi"
    path.write_text("\n".join(trial_molecules()) + "\n", encoding="utf-8")
    return path


def _timed(stages: dict[str, float], name: str, work: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = work()
    stages[name] = time.perf_counter() - start
    return result

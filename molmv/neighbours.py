"""The nearest neighbours of molecules, texts or images in a library, by their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv import formats
from molmv.embedder import Embedder
from molmv.errors import InputError
from molmv.featurizing import DEFAULT_MODEL, featurize
from molmv.modality import read_by
from molmv.models import load_embedder
from molmv.results import EmbeddingResult, load_embeddings
from molmv.rows import VALID
from molmv.table import open_table
from molmv.vector_index import VectorIndex, write_index

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Progress = Callable[[int, float | None], None]
# Rows read, fraction of the file, vectors of the good rows, and the columns that say what they belong to.
_Piece = tuple[int, float | None, np.ndarray, "pa.Table"]


def index_library(
    library: Path,
    folder: Path,
    model: str = DEFAULT_MODEL,
    *,
    metric: str = "cosine",
    column: str | None = None,
    smiles_column: str | None = None,
    id_column: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> tuple[int, int]:
    """Build an index of a library. Rows that cannot be embedded are left out; the others keep their row numbers.

    Args:
        library: a parquet that ``molmv featurize`` wrote, or what the model reads: a file of SMILES, texts, …, a folder
            of images.
        folder: of the index.
        model: embeds what is not embedded yet.
        metric: ``cosine`` or ``euclidean``.
        column: of a file that is not embedded yet; found by its name if not given.
        smiles_column: the same, for molecules.
        id_column: of a file that is not embedded yet, carried along; that of a file of embeddings always is.
        device: ``auto``, ``cpu``, ``cuda``, ….
        overwrite: replace an index that is there.
        threads: that build the index; 0 = all cores.
        progress: called with the rows done and the fraction of them.

    Returns:
        How many rows are in the index, and how many were left out.

    Raises:
        InputError: a file that cannot be read, or no row of it can be embedded.
        OutputError: an index is there already.
        MissingExtraError: usearch is not installed.
    """
    counts = {"rows": 0}
    if _holds_embeddings(library):
        made = formats.read_metadata(library)
        about = {name: made.get(name) for name in ("model", "digest", "dim")}
        about["input_column"] = _input_column(library)
        pieces = _embedded(library)
    else:
        embedder = load_embedder(model, device)
        about = {"model": model, "digest": embedder.digest, "dim": embedder.dim}
        about["input_column"] = read_by(embedder).columns[0]
        pieces = _embedding(library, embedder, column if column is not None else smiles_column, id_column)

    def counted() -> Iterator[tuple[np.ndarray, pa.Table]]:
        for rows, fraction, X, table in pieces:
            yield X, table
            counts["rows"] += rows
            if progress:
                progress(counts["rows"], fraction)

    indexed = write_index(folder, counted(), about, metric, overwrite, threads)
    return indexed, counts["rows"] - indexed


class Neighbours:
    """A library that can be asked for what is nearest in it.

    Args:
        folder: of an index that :func:`index_library` built.
        model: embeds the queries; by default the one that the index was built with, which it must be.
        device: ``auto``, ``cpu``, ``cuda``, ….

    Raises:
        InputError: no index, a damaged one, or another model.
    """

    def __init__(self, folder: str | Path, model: str | None = None, device: str = "auto") -> None:
        self.index = VectorIndex(Path(folder))
        self._model, self._device = model or self.index.spec["model"], device
        self._embedder: Embedder | None = None

    def search(
        self, queries: Sequence[Any] | EmbeddingResult | str | Path, k: int = 10, exact: bool = False
    ) -> pd.DataFrame:
        """What is nearest to each query, nearest first.

        Args:
            queries: what the model reads (SMILES, texts, …), a file of it, or embeddings (a result, or a parquet that
                ``molmv featurize`` wrote).
            k: neighbours of each.
            exact: look at the whole library; slower, and complete.

        Returns:
            One row a neighbour: ``query`` (its row), ``query_smiles``, ``rank`` from 1, ``cosine`` (or
            ``distance``), ``row`` in the library, its id if there is one, ``smiles``. A query that cannot be
            embedded has one row, with ``reason`` filled and no neighbour. Of texts the columns are ``query_text`` and
            ``text``, of images ``query_image`` and ``image``, empty where the image is no file.

        Raises:
            InputError: embeddings of another model, or a file that cannot be read.
        """
        import pandas as pd

        result = self._embed(queries)
        good = np.flatnonzero(result.valid)
        keys, near = self.index.search(result.X[good], k, exact)
        found = self.index.rows.take(keys.reshape(-1)).to_pandas()
        number = keys.shape[1]
        asked = f"query_{self.index.spec.get('input_column', formats.INPUT)}"
        columns: dict[str, Any] = {
            "query": np.repeat(good, number),
            asked: [result.inputs[i] for i in good for _ in range(number)],
            "rank": np.tile(np.arange(1, number + 1), len(good)),
            "cosine" if self.index.spec["metric"] == "cosine" else "distance": near.reshape(-1),
        }
        frame = pd.concat([pd.DataFrame(columns), found], axis=1)
        bad = np.flatnonzero(~result.valid)
        refused = {"query": bad, asked: [result.inputs[i] for i in bad]}
        reasons = pd.DataFrame({**refused, "reason": [result.reason[i] for i in bad]})
        frame = pd.concat([frame.assign(reason=""), reasons]) if len(bad) else frame.assign(reason="")
        whole = dict.fromkeys(("rank", "row"), "Int64")
        return frame.astype(whole).sort_values(["query", "rank"], kind="stable").reset_index(drop=True)

    def _embed(self, queries: Any) -> EmbeddingResult:
        if isinstance(queries, str | Path) and _holds_embeddings(Path(queries)):
            queries = load_embeddings(queries)
        if isinstance(queries, EmbeddingResult):
            self._check(queries.provenance.get("digest"), queries.provenance.get("model", "an unknown model"))
            return queries
        if self._embedder is None:
            embedder = load_embedder(self._model, self._device)
            self._check(embedder.digest, embedder.name)
            self._embedder = embedder
        return featurize(queries, self._embedder)

    def _check(self, digest: str | None, name: str) -> None:
        if digest != self.index.spec["digest"]:
            raise InputError(
                f"The index is of {self.index.spec['model']!r}, the queries are of {name!r} with other weights.",
                "Embed them with the model of the index, or build it again.",
            )


def _holds_embeddings(path: Path) -> bool:
    return path.suffix == ".parquet" and path.is_file() and bool(formats.read_metadata(path))


def _input_column(embeddings: Path) -> str:
    """What a file of embeddings calls what was embedded: its column before the status."""
    import pyarrow.parquet as pq

    names = pq.read_schema(embeddings).names
    if not {"row", "status", "embedding"} <= set(names):
        raise InputError(f"{embeddings} is not a file of embeddings.", "Write it with molmv featurize.")
    return str(names[names.index("status") - 1])


def _embedding(library: Path, embedder: Embedder, column: str | None, id_column: str | None) -> Iterator[_Piece]:
    """What the embedder reads, embedded piece by piece."""
    import pyarrow as pa

    reads = read_by(embedder)
    table = open_table(library, column, id_column, reads)
    formats.check_id_column(table.id_column, reads.columns[0])
    for chunk in table.chunks(min(formats.CHUNK_ROWS, reads.rows)):
        values = [None if i in chunk.problems else value for i, value in enumerate(chunk.values)]
        X, good = featurize(values, embedder).dropna()
        columns: dict[str, Any] = {"row": pa.array(chunk.start + good, pa.int64())}
        if chunk.ids is not None:
            columns[table.id_column or "id"] = pa.array([chunk.ids[i] for i in good], pa.string())
        shown = [str(values[i]) if isinstance(values[i], str) else None for i in good]
        columns[reads.columns[0]] = pa.array(shown, pa.string())
        yield len(chunk), table.fraction, X, pa.table(columns)


def _embedded(library: Path) -> Iterator[_Piece]:
    """A parquet of embeddings, read piece by piece."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(library) as file:
        total = max(file.metadata.num_rows, 1)
        names = file.schema_arrow.names
        kept = [n for n in names if n not in ("status", "reason", "embedding", formats.UNCERTAINTY)]
        done = 0
        for batch in file.iter_batches(formats.CHUNK_ROWS):
            good = pa.Table.from_batches([batch]).filter(pc.is_in(batch.column("status"), pa.array(VALID)))
            done += len(batch)
            yield len(batch), done / total, formats.vectors(good), good.select(kept).replace_schema_metadata(None)

"""Several processes write the file that one writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_embedder import FakeEmbedder

from molmv.errors import InputError
from molmv.featurizing import featurize_file
from molmv.results import load_embeddings
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.gine import make_encoder

SIZES = {"layers": 1, "width": 8, "embedding": 6}


@pytest.fixture
def student(tmp_path: Path) -> str:
    torch.manual_seed(0)
    save_checkpoint(Checkpoint("tiny", "gine", SIZES, {}, make_encoder(SIZES).state_dict()), tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,smiles", *(f"M{i},{'C(' if i % 9 == 4 else 'C' * (i + 1)}" for i in range(50))]))
    return path


def test_several_processes_write_what_one_writes(student: str, table: Path, tmp_path: Path):
    done: list[int] = []
    options = {"id_column": "id", "chunk_size": 6}
    one = featurize_file(table, tmp_path / "one.parquet", student, **options)
    two = featurize_file(
        table, tmp_path / "two.parquet", student, workers=2, progress=lambda rows, _: done.append(rows), **options
    )
    assert one.counts == two.counts == {"ok": 44, "invalid": 6}
    assert done == [0, *range(6, 50, 6), 50]
    first, second = (load_embeddings(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert first.provenance == second.provenance
    assert (first.ids, first.smiles, first.status, first.reason) == (
        second.ids,
        second.smiles,
        second.status,
        second.reason,
    )
    np.testing.assert_allclose(first.X, second.X, rtol=0, atol=1e-6)


def test_a_loaded_model_stays_where_it_is(table: Path, tmp_path: Path):
    with pytest.raises(InputError, match="already loaded"):
        featurize_file(table, tmp_path / "out.parquet", FakeEmbedder(), workers=2)

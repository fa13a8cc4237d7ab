"""The corpus of images holds the training parts and nothing of a test part."""

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from molmv import images
from molmv.evaluate.image_tasks import read_set

pytest.importorskip("PIL", reason="needs molmv[image]")


def test_training_parts_only(shared_data: Path, tmp_path: Path):
    path = Path(__file__).parent.parent / "corpora" / "images.py"
    spec = importlib.util.spec_from_file_location("image_corpus", path)
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    rows = corpus.write(tmp_path / "corpus.parquet", ["usps"])
    written = pq.read_table(tmp_path / "corpus.parquet")
    assert written.column_names == ["image", "set"]  # and no label
    keys = images.canonical(images.parse(images.screen(written["image"].to_pylist())))
    found = read_set("usps")
    train, test = (images.canonical(list(found.images[part])) for part in (~found.test, found.test))
    assert sorted(keys) == sorted(key for key in train if key not in set(test))
    assert len(keys) == rows > 1300
    again = corpus.write(tmp_path / "again.parquet", ["usps"])
    assert again == rows
    assert pq.read_table(tmp_path / "again.parquet").equals(written)

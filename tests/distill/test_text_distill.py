"""Texts by the same commands as molecules: teachers embed, distill, featurize."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from molmv import load_embeddings
from molmv.cli import app
from molmv.embeddings import EmbeddingStore

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

CONFIG = """
name = "tiny-text"
output = "run"
teachers = ["hashed-ngrams"]
[data]
corpus = "corpus.txt"
stores = "store"
held_out = 0.1
[student]
kind = "{kind}"
vocabulary = 120
embedding = 16
{sizes}
[loss]
hidden = 16
depth = 1
[train]
steps = 6
batch_size = 32
validate_every = 6
checkpoint_every = 6
[tracking]
mlflow = false
[information]
rows = 0
"""


@pytest.mark.parametrize(
    ("kind", "sizes"), [("static_text", "dropout = 0.1"), ("text", "layers = 1\nwidth = 16\nheads = 2")]
)
def test_from_a_corpus_to_embeddings_of_reviews(kind: str, sizes: str, tmp_path: Path, monkeypatch):
    def molmv(*arguments: str) -> None:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output

    monkeypatch.chdir(tmp_path)
    words = "card film song price python where slow merge play".split()
    draw = np.random.default_rng(0)
    corpus = [" ".join(draw.choice(words, draw.integers(1, 7))) for _ in range(200)] + ["", "\x07"]
    Path("corpus.txt").write_text("\n".join(corpus) + "\n")
    Path("reviews.csv").write_text('stars,Body\n5,"A slow, slow film"\n1,\n3,Where is my card?\n', encoding="utf-8")
    Path("distill.toml").write_text(CONFIG.format(kind=kind, sizes=sizes))
    molmv("teachers", "embed", "hashed-ngrams", "corpus.txt", "-o", "store", "-q")
    assert EmbeddingStore(Path("store/hashed-ngrams")).valid.tolist() == [True] * 200 + [False] * 2
    molmv("distill", "distill.toml", "-q")
    molmv("featurize", "reviews.csv", "--text-column", "body", "--model", "run", "-o", "out.parquet", "-q")
    found = load_embeddings("out.parquet")
    assert (found.input_column, found.status) == ("text", ["ok", "empty", "ok"])
    assert found.inputs[0] == "A slow, slow film"
    assert found.X.shape == (3, 16)
    assert np.isfinite(found.X[[0, 2]]).all()

"""A store of the first molecules, made as long as the whole corpus: vectors stay in their rows, the rest has none."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from molmv.embed_corpus import embed_corpus
from molmv.embeddings import EmbeddingStore, check_same_rows
from molmv.table import open_table

SMILES = ["CCO", "c1ccccc1O", "no molecule", "CC(=O)N", "CCCl", "C1CCNCC1", "CCN", "OC(=O)c1ccccc1"]


@pytest.fixture
def extend(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(root / "configs"))
    module = importlib.import_module("extend_store")
    monkeypatch.setattr(module, "CHUNK", 3)  # parts that end inside and at the end of what is known
    return module.extend


def store(folder: Path, name: str, teacher: str, smiles: list[str]) -> EmbeddingStore:
    file = folder / f"{name}.smi"
    file.write_text("\n".join(smiles) + "\n")
    embed_corpus(teacher, open_table(file), folder / name)
    return EmbeddingStore(folder / name)


@pytest.mark.parametrize("known", [1, 3, 5, 8])
def test_vectors_stay_and_the_rest_has_none(extend, tmp_path: Path, known: int):
    whole, asked = (store(tmp_path, name, name, SMILES) for name in ("ecfp", "maccs"))
    part = store(tmp_path, "part", "maccs", SMILES[:known])
    assert extend(part, whole, tmp_path / "out") == len(SMILES)
    out = EmbeddingStore(tmp_path / "out")
    check_same_rows([out, whole])
    assert out.header.corpus == whole.header.corpus
    assert out.header.digest == part.header.digest
    rows = np.arange(len(SMILES))
    assert np.array_equal(out.valid, asked.valid & (rows < known))
    assert np.array_equal(out.take(rows)[out.valid], asked.take(rows)[out.valid])
    assert extend(part, whole, tmp_path / "out") == len(SMILES)  # again: nothing more


def test_another_corpus_is_refused(extend, tmp_path: Path):
    whole = store(tmp_path, "ecfp", "ecfp", SMILES)
    with pytest.raises(SystemExit, match="not about the first rows"):
        extend(store(tmp_path, "part", "maccs", SMILES[1:3]), whole, tmp_path / "out")
    with pytest.raises(SystemExit, match="9 rows"):
        extend(store(tmp_path, "long", "maccs", [*SMILES, "CCBr"]), whole, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""A fourth modality needs no change of molmv: rows of numbers, the page's own example, from a table to a store."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import molmv
from molmv import modality
from molmv.embed_corpus import embed_corpus
from molmv.embeddings import EmbeddingStore
from molmv.errors import UnknownNameError
from molmv.rows import EMPTY, INVALID, OK
from molmv.table import open_table

HERE = Path(__file__).parent / "sample_modality"
TABLE = "values,id\n1;2;3,a\n,b\n 1.0;2;3 ,c\n1;x;3,d\n4;5;nan,e\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of the page, as pip would install it."""
    site = tmp_path / "site-packages"
    info = site / "numbers_in_rows-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numbers-in-rows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[molmv.modalities]\nnumbers = number_rows:NUMBERS\n\n[molmv.adapters]\nnorms = number_rows:Norms\n"
    )
    (site / "number_rows.py").write_text((HERE / "number_rows.py").read_text())
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("number_rows", None)


CARD = """name = "norms"
modality = "numbers"
adapter = "norms"
dim = 2
likelihood = "gaussian"

[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""


@pytest.fixture
def card(installed: Path, tmp_path: Path) -> str:
    (tmp_path / "norms.toml").write_text(CARD)
    (tmp_path / "in.csv").write_text(TABLE)
    return str(tmp_path / "norms.toml")


def test_from_a_table_to_embeddings(card: str, tmp_path: Path):
    result = molmv.featurize(str(tmp_path / "in.csv"), card, id_column="id")
    assert result.status == [OK, EMPTY, OK, INVALID, INVALID]
    assert result.reason[3] == "could not convert string to float: 'x'"
    np.testing.assert_allclose(result.X[[0, 2]], [[6, 14**0.5]] * 2, rtol=1e-6)
    result.save(tmp_path / "out.parquet")
    back = molmv.load_embeddings(tmp_path / "out.parquet")
    assert (back.input_column, back.ids) == ("values", ["a", "b", "c", "d", "e"])


def test_into_a_store(card: str, tmp_path: Path):
    table = open_table(tmp_path / "in.csv", modality=modality.of("numbers"))
    assert embed_corpus(card, table, tmp_path / "store") == 5
    store = EmbeddingStore(tmp_path / "store")
    assert store.valid.tolist() == [True, False, True, False, False]
    assert store.keys[0] == store.keys[2] != 0


def test_a_name_that_nobody_registered():
    with pytest.raises(UnknownNameError, match=r"No modality is called 'sound'\. Known: molecule, text"):
        modality.of("sound")


def test_the_page_shows_this_file(root: Path):
    assert (HERE / "number_rows.py").read_text() in (root / "docs" / "modalities.md").read_text()


def test_loss_densities_and_training_name_no_modality(root: Path):
    """As `grep -ri "rdkit\\|smiles\\|chem" molmv/loss.py molmv/density molmv/distill` would."""
    package = root / "molmv"
    files = [package / "loss.py", *(package / "density").rglob("*.py"), *(package / "distill").rglob("*.py")]
    assert len(files) > 10
    found = [path.name for path in files if re.search("rdkit|smiles|chem", path.read_text(), re.IGNORECASE)]
    assert not found
    asked = [path.name for path in files if re.search(r"\bmodality\b.*==|if modality", path.read_text())]
    assert not asked

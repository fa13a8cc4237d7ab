"""The package of docs/adding-a-teacher.md: its adapter is found, and the page shows these very files."""

from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from molmv.cards import load_card
from molmv.cli import app
from molmv.embeddings import EmbeddingStore
from molmv.errors import CardError, TeacherError
from molmv.models import load_teacher

HERE = Path(__file__).parent
CARD = HERE / "element-counts.toml"


def test_the_entry_point_is_found_and_its_teacher_fills_a_store(tmp_path: Path):
    assert "element_counts" in {point.name for point in entry_points(group="molmv.adapters")}
    (tmp_path / "corpus.smi").write_text("CCO\nCC(\nClC(Cl)Cl\n")
    arguments = ["teachers", "embed", str(CARD), str(tmp_path / "corpus.smi"), "-o", str(tmp_path / "stores")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    store = EmbeddingStore(tmp_path / "stores" / "element-counts")
    assert store.take(np.arange(3))[:, [0, 2, 6]].tolist() == [[2, 1, 0], [0, 0, 0], [1, 0, 3]]
    assert store.valid.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (('"element_counts"', '"element_count"'), CardError, "no adapter is called 'element_count'"),
        (("dim = 9", "dim = 8"), TeacherError, "its card says 8 dimensions, it has 9"),
        (("elements = ", "element = "), TeacherError, "cannot be loaded: KeyError: 'elements'"),
    ],
)
def test_a_card_that_does_not_fit(change: tuple[str, str], error: type, message: str, tmp_path: Path):
    card = tmp_path / CARD.name
    card.write_text(CARD.read_text().replace(*change))
    assert load_card(str(card)).name == "element-counts"
    with pytest.raises(error, match=message):
        load_teacher(str(card))


@pytest.mark.parametrize("name", ["element_counts.py", CARD.name, "pyproject.toml", "test_element_counts.py"])
def test_the_page_shows_this_file(name: str, root: Path):
    page = (root / "docs" / "adding-a-teacher.md").read_text(encoding="utf-8")
    assert (HERE / name).read_text(encoding="utf-8") in page

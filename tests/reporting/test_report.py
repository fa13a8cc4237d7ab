"""What is on the page, and that no text on it can become code."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import molmv
from molmv.errors import InputError, OutputError, StoreError
from molmv.reporting import chemical_space, page, scores
from molmv.reporting.blocks import Section, Text
from molmv.reporting.learning import curves, nats


class Reader(HTMLParser):
    """Every element with its attributes, and the text of the data islands."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.islands: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script" and ("type", "application/json") in attrs:
            self.islands.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1] == ("script", {"type": "application/json"}):
            self.islands[-1] += data


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    return Reader(page.read_text(encoding="utf-8"))


def test_hostile_texts_are_no_code(read: Reader):
    tags = Counter(tag for tag, _ in read.elements)
    assert not {"b", "svg"} & set(tags) - {"b"}
    assert tags["script"] == 2 + len(read.islands)
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)


def test_every_island_is_json_without_a_way_out(read: Reader):
    assert len(read.islands) > 5
    for text in read.islands:
        json.loads(text)
        assert not re.search("[<>&\u2028]", text)


def test_page_asks_for_nothing(page: Path):
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"?https?:", text)


def test_page_holds_every_part(read: Reader, page: Path):
    text = page.read_text(encoding="utf-8")
    for words in ("Chemical space", "What the student holds", "real: negative", "How alike", "protocol strict"):
        assert words in text
    (first, *_) = [json.loads(text) for text in read.islands if '"molecules"' in text]
    assert len(first["molecules"]) == 29  # of 30 rows one is refused
    assert first["colours"][0] == "row"  # numbers of the user's table come first


def test_text_is_escaped_wherever_it_stands():
    found = page.render("<i>&", [Section("<i>&", [Text("<i>&")])], "<i>&")
    assert "<i>" not in found
    assert found.count("&lt;i&gt;&amp;") == 6  # title, heading; contents, heading and text of the section; footer


def test_a_table_of_other_rows_is_refused(embeddings: Path, tmp_path: Path):
    (tmp_path / "short.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match="1 rows, the embeddings have 30"):
        molmv.report(embeddings, tmp_path / "r.html", table=tmp_path / "short.csv")


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="nothing that molmv can report on"):
        molmv.report(tmp_path, tmp_path / "r.html")
    with pytest.raises(InputError, match="There is no"):
        molmv.report(tmp_path / "absent", tmp_path / "r.html")
    with pytest.raises(OutputError, match="does not exist"):
        molmv.report(tmp_path, tmp_path / "absent" / "r.html")


def test_one_store_is_too_few(world, tmp_path: Path):
    (tmp_path / "real").symlink_to(world.stores / "real")
    with pytest.raises(StoreError, match="two stores"):
        molmv.report(tmp_path, tmp_path / "r.html")


def test_curves_are_those_of_the_log(distilled: Path):
    points = curves(distilled)
    assert {p.teacher for p in points} == {"real", "bits", "counts"}
    held = {p.teacher: p.value for p in points if p.part == "held_out" and p.measure == "r2" and p.step == 11}
    summary = json.loads((distilled / "summary.json").read_text())
    assert held == pytest.approx({name: summary[f"r2/{name}"] for name in held}, abs=1e-4)
    assert held


def test_a_resumed_log_counts_once(tmp_path: Path):
    for start, value in ((0, 1.0), (5, 2.0)):
        folder = tmp_path / "log" / f"from-step-{start}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"step,train/nll/a\n7,{value}\n")
    assert [(p.step, p.value) for p in curves(tmp_path)] == [(7, 2.0)]


def test_damaged_files_are_named(tmp_path: Path):
    (tmp_path / "information.json").write_text('{"teachers": {"a": {}}}')
    with pytest.raises(InputError, match=r"information\.json is damaged"):
        nats(tmp_path)
    (tmp_path / "strict.csv").write_text("task,split\nx,y\n")
    with pytest.raises(InputError, match=r"strict\.csv is not a table"):
        scores.read_scores(tmp_path)


def test_scores_become_a_matrix(evaluation: Path):
    (rows,) = scores.read_scores(evaluation).values()
    tasks, models, table = scores.matrix(rows)
    assert models == ["<b>best</b>", "middle", "worst"]
    assert tasks[0] == "task0"
    assert table[2] == pytest.approx([0.92, 0.82, 0.62])


def test_smaller_errors_rank_higher():
    rows = [scores.Row("MAE", "MAE", "task", model, mean) for model, mean in (("good", 0.1), ("bad", 0.9))]
    _, models, table = scores.matrix(rows)
    assert models[int(table[0].argmax())] == "good"


def test_nearest_are_those_of_highest_cosine():
    X = np.random.default_rng(0).normal(size=(20, 5))
    near, cosine = chemical_space.nearest(X, 3)
    for i in range(20):
        by_hand = [-2 if i == j else X[i] @ X[j] / np.linalg.norm(X[i]) / np.linalg.norm(X[j]) for j in range(20)]
        assert near[i].tolist() == np.argsort(by_hand)[::-1][:3].tolist()
        assert cosine[i] == pytest.approx(np.sort(by_hand)[::-1][:3])


def test_components_are_scikit_learns():
    from sklearn.decomposition import PCA

    X = np.random.default_rng(0).normal(size=(30, 6)) * [5, 3, 1, 1, 1, 1]
    ours = chemical_space.layouts(X, tsne=False, seed=0)["pca"]
    theirs = PCA(2).fit_transform(X)
    assert np.abs(ours) == pytest.approx(np.abs(theirs))


@pytest.mark.parametrize("count", [2, 3, 12])
def test_few_molecules_have_a_map(count: int):
    X = np.random.default_rng(0).normal(size=(count, 4))
    found = chemical_space.Molecules(["CCO"] * count, [str(i) for i in range(count)], X)
    drawn, gallery = chemical_space.chemical_space(found, tsne=True, seed=0)
    assert len(drawn.molecules) == count
    assert len(gallery.rows[0]) == min(count, 6)


def test_the_verb_writes_the_page(evaluation: Path, tmp_path: Path):
    from typer.testing import CliRunner

    from molmv.cli import app

    run = CliRunner().invoke(app, ["report", str(evaluation), "-o", str(tmp_path / "r.html")])
    assert run.exit_code == 0, run.output
    assert "r.html" in run.stderr
    assert (tmp_path / "r.html").stat().st_size > 500_000

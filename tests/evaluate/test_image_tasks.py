"""Images with classes: the sets, a user's table, and the protocol on images that a teacher can tell apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv import evaluate
from molmv.errors import InputError, UnknownNameError
from molmv.evaluate.image_tasks import load_image_task, read_set, stratified
from molmv.evaluate.protocols import PROTOCOLS
from molmv.evaluate.tasks import names
from molmv.testing.images import encoded

Image = pytest.importorskip("PIL.Image", reason="needs molmv[image]")

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A table of 60 images of three colours with some noise, and rows without an image or a class."""
    draw = np.random.default_rng(0)
    lines = ["file_name,class"]
    for number in range(60):
        name = list(COLOURS)[number % 3]
        pixels = np.array(COLOURS[name]) + draw.integers(-30, 30, (9, 12, 3))
        (tmp_path / f"{number}.png").write_bytes(encoded(Image.fromarray(pixels.astype(np.uint8))))
        lines.append(f"{number}.png,{name}")
    (tmp_path / "bad.png").write_bytes(b"no image")
    lines += ["bad.png,red", "gone.png,red", "0.png,"]
    path = tmp_path / "photographs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_users_table(photographs: Path):
    task = load_image_task(f"{photographs}:class")
    assert (task.name, task.modality, task.labels, task.refused) == ("photographs.csv:class", "image", ("class",), 3)
    assert len(task) == 60
    assert task.Y[:3, 0].tolist() == [2, 1, 0]  # numbered by name: blue, green, red
    assert np.bincount(task.Y[task.test, 0].astype(int)).tolist() == [6, 6, 6]
    assert list(task.inputs[:2]) == ["0.png", "1.png"]


def test_the_verb(photographs: Path, tmp_path: Path):
    report = evaluate("random-convolutions", "image", f"{photographs}:class", output=tmp_path / "out", plots=False)
    means = report.means
    assert means["colour-statistics/linear/official/accuracy"] == 1
    assert means["colour-statistics/knn/official/accuracy"] == 1
    assert means["colour-statistics/clusters/official/V-measure"] > 0.9
    assert {key.split("/")[0] for key in means} >= {"random-convolutions", "hog", "colour-statistics"}
    assert (tmp_path / "out" / "image.csv").exists()
    again = evaluate("random-convolutions", "image", f"{photographs}:class", output=tmp_path / "out", plots=False)
    assert again.means == means


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.integers(0, 3))
def test_a_stratified_part_has_its_share_of_every_class(classes: list[int], seed: int):
    y = np.array(classes)
    test = stratified(y, 0.3, seed)
    np.testing.assert_array_equal(test, stratified(y, 0.3, seed))
    for each in np.unique(y):
        count, marked = (y == each).sum(), test[y == each].sum()
        assert 1 <= marked <= max(1, count - 1)
        assert abs(marked - 0.3 * count) <= 1


@pytest.mark.parametrize(("name", "error"), [("cifar", UnknownNameError), ("gone.csv:class", InputError)])
def test_what_is_not_there(name: str, error: type):
    with pytest.raises(error):
        load_image_task(name)


def test_one_class_only(photographs: Path):
    rows = photographs.read_text().splitlines()
    photographs.write_text("\n".join(row for row in rows if "red" in row or "class" in row))
    with pytest.raises(InputError, match="'red' for all 20 images"):
        load_image_task(f"{photographs}:class")


def test_no_image_at_all(photographs: Path):
    photographs.write_text("file_name,class\nbad.png,red\nbad.png,blue\n")
    with pytest.raises(InputError, match="none of 2 rows holds an image"):
        load_image_task(f"{photographs}:class")


@pytest.mark.parametrize("name", names("vision"))
def test_the_sets(name: str, shared_data: Path):
    found = read_set(name)
    train, test = (np.unique(found.classes[part]) for part in (~found.test, found.test))
    np.testing.assert_array_equal(train, test)  # every class in both parts
    assert found.images.shape[3] == 3
    if name == "cifar10":
        assert (~found.test).sum() == 10_000
        assert found.test.sum() == 3000


def test_the_protocol_looks_at_them():
    assert PROTOCOLS["image"].tasks == names("vision") == ("cifar10", "mnist", "omniglot", "sign-digits", "usps")

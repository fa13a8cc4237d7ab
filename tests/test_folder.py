"""A folder as a table, and tables of paths and of bytes."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molmv import folder
from molmv.errors import InputError
from molmv.featurizing import featurize, featurize_file
from molmv.images import IMAGE
from molmv.modality import of
from molmv.table import open_table
from molmv.testing.images import bad_images, encoded, picture

pytest.importorskip("PIL", reason="needs molmv[image]")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three good files, one of them in a folder inside, and what else lies about in folders."""
    place = tmp_path / "pictures"
    (place / "inside").mkdir(parents=True)
    for number, name in enumerate(("b.png", "a.png", "inside/c.png")):
        (place / name).write_bytes(encoded(picture(number)))
    (place / "notes.txt").write_text("not an image")
    (place / "zero.png").write_bytes(b"")
    (place / ".hidden").write_text("")
    (tmp_path / "outside.png").write_bytes(encoded(picture(9)))
    (place / "link.png").symlink_to(tmp_path / "outside.png")
    (place / "same.png").symlink_to("a.png")
    (place / "again").symlink_to("inside")
    return place


def rows(path: Path, **options):
    return [
        (value, chunk.problems.get(i, ""))
        for chunk in open_table(path, modality=IMAGE, **options).chunks(2)
        for i, value in enumerate(chunk.values)
    ]


def test_one_row_a_file_in_the_order_of_names(pictures: Path):
    assert rows(pictures) == [
        ("a.png", ""),
        ("again", "a link to a folder"),
        ("b.png", ""),
        ("inside/c.png", ""),
        ("link.png", "a link that leaves the folder"),
        ("notes.txt", ""),
        ("same.png", ""),
        ("zero.png", ""),
    ]


def test_featurize_a_folder(pictures: Path, tmp_path: Path):
    result = featurize(pictures, "colour-statistics")
    assert result.inputs == [value for value, _ in rows(pictures)]
    assert result.status == ["ok", "invalid", "ok", "ok", "invalid", "invalid", "ok", "empty"]
    np.testing.assert_array_equal(result.X[0], result.X[6])  # the same file by a link
    featurize_file(pictures, tmp_path / "out.csv", "colour-statistics", chunk_size=3)
    with (tmp_path / "out.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["image"] for row in written] == result.inputs
    assert [row["status"] for row in written] == result.status


def test_every_door_gives_the_same_vectors(pictures: Path, tmp_path: Path):
    names = ["b.png", "inside/c.png", "gone.png", "", "a.png"]
    data = [encoded(picture(0)), encoded(picture(2)), b"junk", None, encoded(picture(1))]
    (pictures / "table.csv").write_text("id,file_name\n" + "".join(f"{i},{n}\n" for i, n in enumerate(names)))
    pq.write_table(pa.table({"image": names}), pictures / "paths.parquet")
    pq.write_table(pa.table({"image": pa.array(data, pa.binary())}), tmp_path / "bytes.parquet")
    pairs = [{"bytes": d, "path": n} for d, n in zip(data, names, strict=True)]
    pq.write_table(pa.table({"image": pairs}), tmp_path / "hub.parquet")
    expected = featurize(data, "colour-statistics").X
    assert np.isfinite(expected[[0, 1, 4]]).all()
    for path in (
        pictures / "table.csv",
        pictures / "paths.parquet",
        tmp_path / "bytes.parquet",
        tmp_path / "hub.parquet",
    ):
        found = featurize(path, "colour-statistics")
        np.testing.assert_array_equal(found.X, expected, err_msg=path.name)
        assert found.status[:3] == ["ok", "ok", "invalid"], path.name
        assert found.status[3:] == ["empty", "ok"], path.name


def test_a_resumed_run_is_the_same(pictures: Path, tmp_path: Path):
    summary = featurize_file(pictures, tmp_path / "out.parquet", "colour-statistics", chunk_size=2)
    assert summary.counts == {"ok": 4, "invalid": 3, "empty": 1}
    again = featurize_file(pictures, tmp_path / "out.parquet", "colour-statistics", chunk_size=2, resume=True)
    assert (again.counts, again.computed) == (summary.counts, 0)


def test_the_digest_is_of_names_and_bytes(pictures: Path):
    before = folder.digest(pictures)
    assert open_table(pictures, modality=IMAGE).digest() == before == folder.digest(pictures)
    (pictures / "b.png").rename(pictures / "d.png")
    renamed = folder.digest(pictures)
    (pictures / "d.png").write_bytes(encoded(picture(5)))
    assert len({before, renamed, folder.digest(pictures)}) == 3


def test_an_empty_folder_has_no_rows(tmp_path: Path):
    assert rows(tmp_path) == []
    assert featurize(tmp_path, "colour-statistics").X.shape == (0, 144)


def test_a_folder_has_no_columns(pictures: Path):
    with pytest.raises(InputError, match="has no columns"):
        open_table(pictures, id_column="id", modality=IMAGE)


def test_molecules_do_not_lie_in_folders(pictures: Path):
    with pytest.raises(InputError):
        open_table(pictures, modality=of("molecule"))


def test_a_column_of_numbers_holds_no_images(tmp_path: Path):
    pq.write_table(pa.table({"image": [1, 2]}), tmp_path / "numbers.parquet")
    with pytest.raises(InputError, match="holds int64"):
        open_table(tmp_path / "numbers.parquet", modality=IMAGE)


def test_bytes_are_no_molecules(tmp_path: Path):
    pq.write_table(pa.table({"smiles": pa.array([b"CCO"])}), tmp_path / "bytes.parquet")
    with pytest.raises(InputError, match="holds binary"):
        open_table(tmp_path / "bytes.parquet", modality=of("molecule"))


def test_bad_images_are_rows_too():
    result = featurize(bad_images(), "colour-statistics")
    assert not result.valid.any()
    assert all(result.reason)

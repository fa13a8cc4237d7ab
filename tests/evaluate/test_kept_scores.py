"""The scores of a table, packed and laid out again."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def kept_scores(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import kept_scores

    yield kept_scores
    sys.modules.pop("kept_scores", None)


def test_packed_and_laid_out_again(kept_scores, tmp_path: Path):
    jobs = {
        "paper-v1/a-1/AMES-linear-x.csv": 'label,value\n"Y, of one",0.5\nY,\n',
        "paper-v1/a-1/hERG-linear-x.csv": "label,value\nY,1\n",
        "strict-v2/b-2/hERG-knn-x.csv": "label,value\nY,2\n",
    }
    for name, text in jobs.items():
        (tmp_path / "scores" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scores" / name).write_text(text)
    packed = kept_scores.pack(tmp_path)
    assert [path.name for path in packed] == ["paper-v1-scores.csv", "strict-v2-scores.csv"]
    (tmp_path / "scores").rename(tmp_path / "before")
    assert kept_scores.unpack(tmp_path) == 3
    for name, text in jobs.items():
        assert (tmp_path / "scores" / name).read_text() == text
    assert kept_scores.unpack(tmp_path) == 0


def test_the_hash_of_a_job_is_left_out(kept_scores, tmp_path: Path):
    job = tmp_path / "scores" / "paper-v1" / "a-1" / "AMES-linear-x.csv"
    job.parent.mkdir(parents=True)
    job.write_text("label,value\nY,1\nsha256,0,0\n")
    (packed,) = kept_scores.pack(tmp_path)
    assert packed.read_text() == "job,label,value\na-1/AMES-linear-x,Y,1\n"


def test_what_is_there_wins(kept_scores, tmp_path: Path):
    job = tmp_path / "scores" / "paper-v1" / "a-1" / "AMES-linear-x.csv"
    job.parent.mkdir(parents=True)
    job.write_text("label,value\nY,1\n")
    kept_scores.pack(tmp_path)
    job.write_text("label,value\nY,2\n")
    assert kept_scores.unpack(tmp_path) == 0
    assert job.read_text() == "label,value\nY,2\n"

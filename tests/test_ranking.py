"""The ranking on teachers whose order is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from molmv.embeddings import EmbeddingStore, Header, StoreWriter
from molmv.errors import StoreError
from molmv.ranking import Ranking, open_all, rank_teachers, table
from molmv.rows import ERROR, OK

ROWS = 1400


def write(folder: Path, name: str, values: np.ndarray, likelihood: str = "gaussian", keys: int = 1) -> None:
    header = Header(name, "0" * 64, values.shape[1], likelihood, "float32", "corpus", {})
    writer = StoreWriter(folder / name, header)
    status = [ERROR if i % 50 == 7 else OK for i in range(len(values))]
    numbers = np.arange(keys, keys + len(values), dtype=np.uint64)
    writer.append(values.astype(np.float32), numbers, status, [""] * len(values))
    writer.finish()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``all`` holds, turned, what ``most`` and ``some`` hold; these share two numbers; ``noise`` is independent."""
    folder = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(ROWS, 8))
    write(folder, "all", latent @ np.linalg.qr(rng.normal(size=(8, 8)))[0])
    write(folder, "most", latent[:, :6])
    write(folder, "some", latent[:, 4:])
    write(folder, "noise", rng.normal(size=(ROWS, 4)))
    return folder


@pytest.fixture(scope="module")
def ranking(stores: Path) -> Ranking:
    return rank_teachers(open_all(stores), rows=650)


def test_who_contains_another_is_above_it_and_noise_is_last(ranking: Ranking):
    order = {name: place for place, name in enumerate(ranking.teachers)}
    assert order["all"] == 0
    assert order["noise"] == 3
    assert -0.2 < ranking.scores["noise"] < 0.05  # the mean over 65 rows, of an estimate that errs downwards
    assert ranking.rows == 650


def test_noise_tells_nothing_and_no_pair_exceeds_its_bound(ranking: Ranking):
    for pair, found in ranking.pairs.items():
        if "noise" in pair:
            assert -0.2 < found.nats < 0.1, pair
    for (_, told), found in ranking.pairs.items():
        assert found.low < ranking.most[told]
    # Gaussian, and told exactly: the bound itself. What two share is worth half of log(1 + 1 / noise²) a number.
    assert ranking.pairs["all", "most"].nats == pytest.approx(ranking.most["most"], rel=0.15)
    assert ranking.pairs["most", "some"].nats == pytest.approx(np.log(5), rel=0.25)


def test_the_score_is_the_median_of_the_row(ranking: Ranking):
    for name in ranking.teachers:
        row = [found.nats for (teller, _), found in ranking.pairs.items() if teller == name]
        assert ranking.scores[name] == pytest.approx(np.median(row))


def test_table(ranking: Ranking):
    header, *rows = table(ranking)
    assert header == ["teacher", *ranking.teachers, "score"]
    assert [row[0] for row in rows] == list(ranking.teachers)
    assert all(row[i + 1] == "" for i, row in enumerate(rows))


def test_chart_has_every_pair(ranking: Ranking):
    pytest.importorskip("altair")
    from molmv.ranking_chart import ranking_chart

    text = json.dumps(ranking_chart(ranking).to_dict())
    assert text.count('"told of": "noise"') >= 3
    assert '"score": ' in text


def test_what_cannot_be_ranked(stores: Path, tmp_path: Path):
    with pytest.raises(StoreError, match="at least two stores"):
        open_all(tmp_path)
    rng = np.random.default_rng(0)
    for name, keys in (("a", 1), ("b", 2)):
        write(tmp_path, name, rng.normal(size=(120, 2)), keys=keys)
    with pytest.raises(StoreError, match="different molecules"):
        open_all(tmp_path)
    few = {name: EmbeddingStore(tmp_path / name) for name in "ab"}
    with pytest.raises(StoreError, match="at least 200 molecules"):
        rank_teachers(few)

"""Texts as tasks, and the protocol for them: against scikit-learn, scipy and counts by hand."""

from pathlib import Path

import numpy as np
import pytest

import molmv
from molmv.errors import InputError, UnknownNameError
from molmv.evaluate import class_probes
from molmv.evaluate.protocols import PROTOCOLS
from molmv.evaluate.protocols.text import MOST_TEST, MOST_TRAIN, similarity
from molmv.evaluate.tasks import Task, load_task
from molmv.evaluate.text_tasks import held_out
from molmv.teacher import Teacher

TEXT = PROTOCOLS["text"]


def clouds(classes: int = 5, each: int = 40, dim: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping clouds of points, their classes, and which are test rows."""
    draw = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), each)
    X = (draw.normal(size=(classes, dim))[y] + draw.normal(size=(len(y), dim))).astype(np.float32)
    return X, y, draw.random(len(y)) < 0.3


def test_linear_accuracy_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y, test = clouds()
    train, held = np.flatnonzero(~test), np.flatnonzero(test)
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=class_probes.STRENGTH)))
    expected = model.fit(X[train], y[train]).score(X[held], y[held])
    assert 0.5 < expected < 1
    assert abs(class_probes.linear_accuracy(X, y, train, held) - expected) < 0.02


def test_neighbours_are_counted():
    X = np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1], [-1, 0]], dtype=np.float32)
    y, train, test = np.array([0, 1, 0, 0, 1]), np.array([0, 1]), np.array([2, 3, 4])
    assert class_probes.recall_at(X, y, train, test, (1, 2)) == {1: 2 / 3, 2: 1.0}  # 3 is nearest to class 1
    assert class_probes.neighbour_accuracy(X, y, train, test, 1) == 2 / 3


def test_clusters_of_distant_clouds_are_the_classes():
    X, y, _ = clouds()
    far = (X + 100 * np.eye(5, X.shape[1])[y]).astype(np.float32)
    assert class_probes.v_measure(far, y, np.arange(len(y))) == [1.0] * class_probes.SEEDS


def test_similarity_is_the_rank_correlation_of_cosines():
    from scipy.stats import spearmanr

    X, scores = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32), np.arange(20.0)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(X[:20], X[20:], strict=True)]
    assert similarity(X, np.tile(scores, 2)) == pytest.approx(spearmanr(cosines, scores).statistic)


def test_a_large_set_is_cut_by_hash_and_keeps_its_classes():
    n = 3 * MOST_TRAIN
    texts = tuple(f"text {i}" for i in range(n))
    test = np.arange(n) % 3 == 0
    task = Task("many", "classification", texts, texts, np.arange(n, dtype=float)[:, None] % 7, ("label",), test,
                modality="text")  # fmt: skip
    cut, again = TEXT.prepare(task), TEXT.prepare(task.take(np.random.default_rng(0).permutation(n)))
    assert (len(cut), int(cut.test.sum())) == (MOST_TRAIN + MOST_TEST, MOST_TEST)
    assert set(cut.given) == set(again.given)
    assert all(y[0] == int(text.split()[1]) % 7 for text, y in zip(cut.given, cut.Y, strict=True))


def reviews(path: Path, rows: int = 120) -> Path:
    lines = [
        f'"{"good" if i % 2 else "bad"} film number {i}, seen twice",{"yes" if i % 2 else "no"}' for i in range(rows)
    ]
    path.write_text("\n".join(["review,liked", *lines, ",yes"]) + "\n")
    return path


def test_a_users_file(tmp_path: Path):
    task = load_task(f"{reviews(tmp_path / 'in.csv')}:liked", "text")
    assert (task.name, task.kind, task.modality, task.refused) == ("in.csv:liked", "classification", "text", 1)
    assert len(task) == 120
    np.testing.assert_array_equal(task.test, held_out(task.given))
    with pytest.raises(InputError, match="has no column 'stars'"):
        load_task(f"{tmp_path / 'in.csv'}:stars", "text")
    with pytest.raises(UnknownNameError, match="Did you mean 'stsb'"):
        load_task("stsbe", "text")
    (tmp_path / "one.csv").write_text("text,label\na,1\nb,1\n")
    with pytest.raises(InputError, match="the label is '1' for all 2 texts"):
        load_task(f"{tmp_path / 'one.csv'}:label", "text")


def test_the_verb_on_a_users_file(tmp_path: Path):
    def says_good(texts: list[str]) -> np.ndarray:
        return np.array([["good" in text, len(text) / 100] for text in texts], dtype=np.float32)

    model = Teacher.from_callable(says_good, 2, "says-good", modality="text")
    task = f"{reviews(tmp_path / 'in.csv')}:liked"
    report = molmv.evaluate(model, "text", task, baselines=False, output=tmp_path / "out", plots=False)
    scores = {(s.head, s.metric): s.value for result in report.results for s in result.scores if s.seed == 0}
    assert scores["linear", "accuracy"] == 1
    assert scores["retrieval", "recall@10"] == 1
    assert set(scores) == {("linear", "accuracy"), ("clusters", "V-measure"), ("retrieval", "recall@1"),
                           ("retrieval", "recall@10")}  # fmt: skip
    assert "120 texts, classification, 1 refused" in (tmp_path / "out" / "text.md").read_text()


@pytest.mark.parametrize(
    ("name", "rows", "test", "classes"),
    [("banking77", 13083, 3080, 77), ("trec", 5952, 500, 6), ("mr", 10662, None, 2)],
)
def test_public_sets(shared_data: Path, name: str, rows: int, test: int | None, classes: int):
    task = load_task(name, "text")
    assert (len(task), len(np.unique(task.Y))) == (rows, classes)
    share = task.test.mean()
    assert int(task.test.sum()) == test if test else 0.18 < share < 0.22


def test_pairs(shared_data: Path):
    task = load_task("STSb", "text")
    n = len(task) // 2
    assert (n, task.kind, task.test) == (1379, "similarity", None)
    np.testing.assert_array_equal(task.Y[:n], task.Y[n:])
    assert task.given[0] == "A girl is styling her hair."
    assert task.given[n] == "A girl is brushing her hair."


def test_the_corpus_has_nothing_of_a_test_part(shared_data: Path, root: Path, tmp_path: Path):
    import subprocess
    import sys

    script = [sys.executable, root / "corpora" / "text.py", shared_data / "text", "-n", "50000"]
    subprocess.run([*script, "-o", tmp_path / "corpus.txt"], check=True, capture_output=True, cwd=root)

    def letters(texts: list[str]) -> set[str]:
        return {"".join(letter for letter in text.lower() if letter.isalnum()) for text in texts}

    corpus = letters((tmp_path / "corpus.txt").read_text().splitlines())
    for name in ("sst2", "mr", "stsb", "clinc150"):
        task = load_task(name, "text")
        tested = np.ones(len(task), bool) if task.test is None else task.test
        assert not corpus & letters([text for text, t in zip(task.canonical, tested, strict=True) if t]), name

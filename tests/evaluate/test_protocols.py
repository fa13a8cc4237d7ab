"""Protocols: the rows, splits and numbers that their sources have."""

import numpy as np
import pandas as pd
import pytest

from molmv.errors import InputError
from molmv.evaluate.protocol import folds
from molmv.evaluate.protocols import PROTOCOLS, embedding_benchmark, paper, tdc_admet, unsupervised
from molmv.evaluate.tasks import load_task, make_task

SMILES = ["C" * n + "c1ccccc1" for n in range(1, 61)] + ["C" * n + "C1CCCCC1" for n in range(1, 61)]


def toy(kind: str):
    """A task that a feature decides, and the feature beside noise."""
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 6)).astype(np.float32)
    value = X[:, 0] + 0.1 * random.normal(size=120)
    y = (value > 0).astype(float) if kind == "classification" else value
    return make_task("toy", SMILES, y[:, None], ["y"], kind), X


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"text", "image"}))  # which have tests of their own
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_every_protocol_finds_what_there_is(name, kind, monkeypatch):
    monkeypatch.setattr("molmv.evaluate.protocols.strict.REPEATS", 1)
    monkeypatch.setattr("molmv.evaluate.protocols.tdc_admet.SEEDS", 1)
    protocol = PROTOCOLS[name]
    task, X = toy(kind)
    prepared = protocol.prepare(task)
    X = X[[task.smiles.index(s) for s in prepared.smiles]]
    heads = [head for head in protocol.heads if head not in ("forest", "mlp")]
    scores = list(protocol.run(prepared, X, False, heads))
    assert {s.head for s in scores} == set(heads)
    assert all(np.isfinite(s.value) for s in scores)
    if name != "unsupervised":
        best = max(s.value for s in scores if s.metric in ("AUROC", "R2", "Spearman")) if name != "tdc-admet" else 1
        assert best > 0.7
        for _, _, split in protocol.splits(prepared):
            assert not set(split.train) & set(split.test)


def test_paper_has_32_tasks_and_tdcs_random_split():
    assert len(PROTOCOLS["paper"].tasks) == 32
    rows = np.arange(50, 150)
    split = paper.sampled_split(rows, 3)
    frame = pd.DataFrame({"row": rows})
    test = frame.sample(frac=0.2, random_state=3)
    rest = frame.drop(test.index)
    validation = rest.sample(frac=0.125, random_state=1)
    assert split.test.tolist() == sorted(test["row"])
    assert split.validation.tolist() == sorted(validation["row"])
    assert len(split.train) == 70


def test_paper_leaves_out_salts_and_stereochemistry_and_its_mended_twin_keeps_the_latter():
    smiles = ["C[C@H](N)O", "CCO", "[Na+].[Cl-]", "C" * 80, "CCN"]
    task = make_task("t", smiles, np.arange(5.0)[:, None], ["y"])
    assert PROTOCOLS["paper"].prepare(task).canonical == ("CC(N)O", "CCO", "CCN")
    assert "@" in PROTOCOLS["paper-fixed"].prepare(task).canonical[0]


def test_paper_takes_logarithms_of_three_labels():
    task = make_task("Half_Life_Obach", ["C", "CC", "CCC"], np.array([[1.0], [10], [1000]]), ["y"])
    assert PROTOCOLS["paper"].prepare(task).Y[:, 0].tolist() == [0, 1, 3]


def test_the_published_splits_of_the_embedding_benchmark(shared_data):
    """k-NN has no random part: it gives the published number to the last digit if rows, order and split are theirs."""
    from molmv.models import load_embedder

    protocol = PROTOCOLS["embedding-benchmark"]
    assert len(protocol.tasks) == 18
    task = protocol.prepare(load_task("DILI"))
    model = load_embedder("ecfp", device="cpu")
    X = model.embed(model.screen(task.canonical))
    (score,) = protocol.run(task, X, True, ["knn"])
    assert (round(score.value, 4), round(score.cv, 4)) == (0.7317, 0.7270)


def test_admet_metrics_are_the_leaderboards(shared_data):
    import csv

    with (shared_data.parent / "reference" / "tdc_admet_leaderboard.csv").open(newline="") as file:
        published = {row["task"]: row["metric"] for row in csv.DictReader(file)}
    ours = {name: metric for metric, sets in tdc_admet.METRICS.items() for name in sets.split()}
    assert {name.lower(): metric for name, metric in ours.items()} == published
    assert set(tdc_admet.TdcAdmet.tasks) == set(ours)


def test_published_sets_exist():
    assert set(embedding_benchmark.PUBLISHED) <= set(PROTOCOLS["strict"].tasks)


def test_folds_are_scikit_learns_and_refuse_small_classes():
    from sklearn.model_selection import StratifiedKFold

    y = np.array([0, 1] * 20)
    mine = folds(y, "classification")
    for fold, (_, held) in enumerate(StratifiedKFold(5).split(y, y)):
        assert np.flatnonzero(mine == fold).tolist() == held.tolist()
    with pytest.raises(InputError, match="class 1 has 3 training rows, fewer than 5 folds"):
        folds(np.array([0] * 20 + [1] * 3), "classification")
    with pytest.raises(InputError, match="the training part has 3 training rows"):
        folds(np.arange(3.0), "regression")


def test_retrieval_by_hand():
    Z = np.concatenate([np.eye(2)[[0] * 11], np.eye(2)[[1] * 11]]).astype(np.float32)
    classes = np.array([1] * 11 + [0] * 11)
    values = {metric: value for _, metric, value in unsupervised.retrieval(Z, classes)}
    assert values == {"P@10": 1.0, "EF@10": pytest.approx(2.1)}
    clusters = {metric: value for _, metric, value in unsupervised.clustering(Z, classes)}
    assert clusters == {"NMI": pytest.approx(1), "ARI": pytest.approx(1)}

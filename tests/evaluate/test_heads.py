"""Heads against scikit-learn and scikit-fingerprints."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from molmv.evaluate import heads
from molmv.evaluate.heads import HEADS, Data
from molmv.evaluate.protocol import folds


def data(kind: str, n: int = 120, d: int = 10, seed: int = 0) -> tuple[Data, np.ndarray]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n + 60, d)).astype(np.float32)
    value = X @ random.normal(size=d) + random.normal(size=n + 60)
    y = (value > 0).astype(float) if kind == "classification" else value
    return Data(X[:n], y[:n], X[n:], kind, folds(y[:n], kind), False), y[n:]


@pytest.mark.parametrize("d", [10, 300])  # more rows than features, and fewer
def test_ridge_is_scikit_learns(d):
    case, _ = data("regression", d=d)
    scaler = StandardScaler().fit(case.X.astype(float))
    for alpha in (0.01, 10.0):
        mine = heads.ridge_path(case.X, case.y, case.X_test, np.array([alpha]))[:, 0]
        theirs = Ridge(alpha).fit(scaler.transform(case.X), case.y).predict(scaler.transform(case.X_test))
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_cosine_neighbours_are_scikit_learns():
    case, _ = data("classification")
    scaler = StandardScaler().fit(case.X.astype(float))
    mine = heads.neighbour_means(case.X, case.y, case.X_test, tanimoto=False)
    for column, k in enumerate(heads.NEIGHBOURS):
        model = KNeighborsClassifier(k, metric="cosine").fit(scaler.transform(case.X), case.y)
        np.testing.assert_allclose(mine[:, column], model.predict_proba(scaler.transform(case.X_test))[:, 1], atol=1e-6)


def test_tanimoto_is_scikit_fingerprints():
    from skfp.distances import tanimoto_count_similarity

    random = np.random.default_rng(1)
    X = random.integers(0, 4, (30, 20)).astype(np.float32)
    test = random.integers(0, 4, (5, 20)).astype(np.float32)
    A, B = heads.scaled(X, test)
    nearest = [max(range(30), key=lambda i, b=b: tanimoto_count_similarity(A[i], b)) for b in B]
    labels = random.normal(size=30)
    np.testing.assert_allclose(heads.neighbour_means(X, labels, test, tanimoto=True)[:, 0], labels[nearest])


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("head", ["linear", "knn", "mlp"])
def test_every_head_learns_what_there_is(head, kind):
    from sklearn.metrics import r2_score, roc_auc_score

    case, truth = data(kind)
    fitted = HEADS[head](case)
    score = roc_auc_score(truth, fitted.prediction) if kind == "classification" else r2_score(truth, fitted.prediction)
    assert score > (0.75 if kind == "classification" else 0.35)
    assert np.isfinite(fitted.cv)
    assert HEADS[head](case).prediction.tolist() == fitted.prediction.tolist()


def test_an_ensemble_is_the_mean_of_each_folds_network():
    case, _ = data("regression", n=60, d=4)
    first = heads.mlp(case, epochs=3).prediction
    second = heads.mlp(replace(case, folds=np.where(case.folds == 0, 7, case.folds)), epochs=3).prediction
    both = heads.mlp(case, networks=2, epochs=3).prediction
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-5)


def test_the_forest_is_scikit_learns_with_the_best_score_out_of_bag(monkeypatch):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    monkeypatch.setattr(heads, "MIN_SAMPLES_SPLIT", (2, 40))
    case, _ = data("classification", n=60, d=4)
    fitted = heads.forest(case)
    models = [
        RandomForestClassifier(500, criterion="entropy", min_samples_split=s, oob_score=True, random_state=0).fit(
            case.X, case.y
        )
        for s in (2, 40)
    ]
    out_of_bag = [roc_auc_score(case.y, m.oob_decision_function_[:, 1]) for m in models]
    best = models[int(np.argmax(out_of_bag))]
    assert fitted.cv == pytest.approx(max(out_of_bag))
    np.testing.assert_allclose(fitted.prediction, best.predict_proba(case.X_test)[:, 1])


def test_test_rows_do_not_leak_into_the_scaling():
    case, _ = data("classification")
    extreme = Data(
        case.X, case.y, np.concatenate([case.X_test, np.full((1, 10), 1e6, np.float32)]), case.kind, case.folds, False
    )
    for head in ("linear", "knn", "mlp"):
        plain, with_extreme = HEADS[head](case), HEADS[head](extreme)
        np.testing.assert_allclose(with_extreme.prediction[:-1], plain.prediction, atol=1e-5)


def test_refused_rows_get_the_mean_of_the_training_rows():
    X = np.array([[1.0], [3.0], [np.nan], [50.0], [np.nan]], dtype=np.float32)
    assert heads.filled(X, np.array([0, 1, 2]))[:, 0].tolist() == [1, 3, 2, 50, 2]


def test_descriptors_of_any_size_can_be_scaled():
    X = np.array([[3e38, 1], [-3e38, 2], [0, 3]], dtype=np.float32)
    assert np.isfinite(heads.scaled(X)[0]).all()


@pytest.mark.parametrize("head", ["linear", "knn", "mlp"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_descriptor_of_1e35_in_one_row_ends_nothing(head, kind):
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 5))
    X[70, 2] = 1e35
    y = (X[:, 0] > 0).astype(float) if kind == "classification" else X[:, 0]
    fitted = HEADS[head](Data(X[:60], y[:60], X[60:], kind, np.arange(60) % 5, False))
    assert np.isfinite(fitted.prediction).all()
    assert np.isfinite(fitted.cv)

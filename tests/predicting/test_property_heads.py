"""Heads rebuilt from plain arrays say what scikit-learn's own models say."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from safetensors.numpy import load, save
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from molmv.predicting.heads import HEADS, Head, Scaler

PARAMETERS: dict[str, dict[str, Any]] = {
    "linear": {"penalty": 10.0},
    "knn": {"k": 4},
    "kernel": {"width": 0.3, "penalty": 0.1},
    "forest": {"trees": 20, "share": 0.5},
}


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    X, X_new = random.normal(size=(120, 8)), random.normal(size=(50, 8))
    y = X[:, 0] - 2 * np.sin(X[:, 1]) + 5
    return {"X": X, "y": y, "label": (y > 5).astype(float), "X_new": X_new}


def reference(kind: str, X: np.ndarray, y: np.ndarray, X_new: np.ndarray, classify: bool) -> np.ndarray:
    if kind == "linear":
        if classify:
            return LogisticRegression(C=0.1, max_iter=500).fit(X, y).decision_function(X_new)
        return Ridge(alpha=10.0).fit(X, y).predict(X_new)
    if kind == "knn":
        return KNeighborsRegressor(4, weights="distance", algorithm="brute").fit(X, y).predict(X_new)
    if kind == "kernel":
        values = 2 * y - 1 if classify else y
        model = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.3 / X.shape[1]).fit(X, values - values.mean())
        return model.predict(X_new) + values.mean()
    options = {"n_estimators": 20, "max_features": 0.5, "random_state": 0}
    if classify:
        return RandomForestClassifier(**options).fit(X, y).predict_proba(X_new)[:, 1]
    return RandomForestRegressor(**options).fit(X, y).predict(X_new)


def rebuilt(head: Head) -> Head:
    return type(head).from_arrays(load(save({k: np.ascontiguousarray(v) for k, v in head.arrays().items()})))


@pytest.mark.parametrize("classify", [False, True], ids=["values", "classes"])
@pytest.mark.parametrize("kind", HEADS)
def test_a_rebuilt_head_is_scikit_learns(kind: str, classify: bool, data: dict[str, np.ndarray]):
    X, X_new = data["X"].astype(np.float32), data["X_new"].astype(np.float32)
    y = data["label"] if classify else data["y"]
    head = HEADS[kind].fit(X, y, classify, **PARAMETERS[kind])
    wide = X.astype(np.float32 if kind == "forest" else np.float64)
    expected = reference(kind, wide, y, X_new.astype(wide.dtype), classify)
    np.testing.assert_allclose(head.score(X_new.astype(np.float64)), expected, atol=1e-6)
    np.testing.assert_allclose(rebuilt(head).score(X_new.astype(np.float64)), expected, atol=1e-6)
    assert head.score(X_new[:0]).shape == (0,)


@pytest.mark.parametrize("kind", HEADS)
def test_every_entry_of_a_grid_fits(kind: str, data: dict[str, np.ndarray]):
    for parameters in HEADS[kind].grid:
        small = {**parameters, **({"trees": 3} if kind == "forest" else {})}
        head = HEADS[kind].fit(data["X"], data["y"], False, **small)
        assert np.isfinite(head.score(data["X_new"])).all()


def test_a_forest_of_sparse_bits_is_the_same_forest():
    random = np.random.default_rng(0)
    X = (random.random((150, 100)) < 0.03).astype(np.float32)
    y = X[:, :10].sum(axis=1) + random.normal(0, 0.1, 150)
    head = HEADS["forest"].fit(X, y, False, trees=5, share=1.0)
    expected = RandomForestRegressor(5, max_features=1.0, random_state=0).fit(X, y)
    np.testing.assert_allclose(head.score(X), expected.predict(X), atol=0.2)  # ties between bits may fall otherwise
    assert np.corrcoef(head.score(X), expected.predict(X))[0, 1] > 0.95


def test_scaling_is_scikit_learns_but_for_constants(data: dict[str, np.ndarray]):
    X = np.column_stack([data["X"], np.full(120, 3.0)])
    scaler = Scaler.fit(X)
    np.testing.assert_allclose(scaler(X)[:, :-1], StandardScaler().fit_transform(X)[:, :-1])
    new = np.full((1, 9), 1e9)
    assert scaler(new).tolist() == [[10.0] * 8 + [0.0]]


def test_a_neighbour_of_the_training_set_decides_alone(data: dict[str, np.ndarray]):
    head = HEADS["knn"].fit(data["X"].astype(np.float32), data["y"], False, k=5)
    np.testing.assert_allclose(head.score(data["X"].astype(np.float32).astype(float)), data["y"], atol=1e-4)

"""Batched logistic regressions against scikit-learn, one by one."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from molmv.evaluate.logistic import fit_logistic

CS = (0.01, 0.3, 3.0)


def problem(kind: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    X = random.normal(size=(300, 12)) * np.logspace(-1, 1, 12) + 2
    if kind == "bits":
        X = (random.random((300, 60)) < 0.08).astype(float)
    if kind == "bits beside numbers":
        X = np.concatenate([(random.random((300, 20)) < 0.08), X, (random.random((300, 8)) < 0.08)], axis=1)
    truth = X @ random.normal(size=X.shape[1])
    y = truth - np.median(truth) + random.normal(size=300) * truth.std() > 0
    return X.astype(np.float32), y.astype(float)


@pytest.mark.parametrize("kind", ["dense", "bits", "bits beside numbers"])
def test_every_fold_and_strength_is_scikit_learns(kind):
    X, y = problem(kind)
    fold = np.arange(len(y)) % 3
    pairs = [(f, C) for f in range(3) for C in CS]
    rows = torch.tensor(np.stack([fold != f for f, _ in pairs], axis=1))
    labels = torch.from_numpy(y.astype(np.float32))[:, None].expand(-1, len(pairs))
    C = torch.tensor([c for _, c in pairs], dtype=torch.float32)
    fitted = fit_logistic(torch.from_numpy(X), labels, rows, C, tol=1e-6)
    margins = fitted.margins(torch.from_numpy(X)).numpy()
    for column, (f, c) in enumerate(pairs):
        scaler = StandardScaler().fit(X[fold != f])
        model = LogisticRegression(C=c, tol=1e-8, max_iter=10_000).fit(scaler.transform(X[fold != f]), y[fold != f])
        np.testing.assert_allclose(margins[:, column], model.decision_function(scaler.transform(X)), atol=5e-3)


def test_strongly_correlated_features_take_few_steps():
    random = np.random.default_rng(5)
    basis = np.linalg.qr(random.normal(size=(40, 40)))[0]
    X = ((random.normal(size=(400, 40)) * np.logspace(0, -3, 40)) @ basis).astype(np.float32)
    X /= X.std(0)
    y = (X @ random.normal(size=40) + random.normal(size=400) > 0).astype(np.float32)
    whole = torch.ones(400, 1, dtype=torch.bool)
    fitted = fit_logistic(torch.from_numpy(X), torch.from_numpy(y)[:, None], whole, torch.tensor([100.0]), max_iter=40)
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(C=100.0, tol=1e-8, max_iter=100_000).fit(scaler.transform(X), y)
    said = fitted.margins(torch.from_numpy(X))[:, 0].numpy()
    np.testing.assert_allclose(said, model.decision_function(scaler.transform(X)), atol=0.05)


def test_a_constant_feature_changes_nothing():
    X, y = problem("dense")
    rows, labels = torch.ones(len(y), 1, dtype=torch.bool), torch.from_numpy(y.astype(np.float32))[:, None]
    C = torch.tensor([1.0])
    with_constant = torch.from_numpy(np.concatenate([X, np.full((len(y), 1), 7, np.float32)], axis=1))
    plain = fit_logistic(torch.from_numpy(X), labels, rows, C).margins(torch.from_numpy(X))
    same = fit_logistic(with_constant, labels, rows, C).margins(with_constant)
    torch.testing.assert_close(plain, same, atol=5e-3, rtol=0)


def test_separable_classes_stay_finite():
    X = torch.tensor([[0.0], [0.1], [1.0], [1.1]])
    fitted = fit_logistic(
        X, torch.tensor([[0.0], [0], [1], [1]]), torch.ones(4, 1, dtype=torch.bool), torch.tensor([100.0])
    )
    margins = fitted.margins(X)[:, 0]
    assert torch.isfinite(margins).all()
    assert (margins[:2] < 0).all()
    assert (margins[2:] > 0).all()

"""Kernel ridge regression against scikit-learn, and the vote that it takes part in."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from test_heads import data

from molmv.evaluate import kernel as module
from molmv.evaluate.heads import linear
from molmv.evaluate.kernel import kernel, kernel_path
from molmv.evaluate.protocols import tdc_admet


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_is_scikit_learns(kind: str):
    case, _ = data(kind)
    scaler = StandardScaler().fit(case.X.astype(float))
    X, X_test = scaler.transform(case.X), scaler.transform(case.X_test)
    mine = kernel_path(case.X, case.y, case.X_test, (0.1, 2.0), (0.3, 1.0))
    mean = case.y.mean()
    for column, (width, penalty) in enumerate([(0.1, 0.3), (0.1, 1.0), (2.0, 0.3), (2.0, 1.0)]):
        model = KernelRidge(alpha=penalty, kernel="rbf", gamma=width / X.shape[1]).fit(X, case.y - mean)
        np.testing.assert_allclose(mine[:, column], model.predict(X_test) + mean, atol=1e-3)


def bent(kind: str):
    """A target that no plane tells."""
    case, _ = data(kind, n=400, d=4)
    both = np.concatenate([case.X, case.X_test]).astype(float)
    value = both[:, 0] * both[:, 1] + np.abs(both[:, 2])
    y = (value > np.median(value)).astype(float) if kind == "classification" else value
    return replace(case, y=y[:400]), y[400:]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_finds_what_bends(kind: str):
    case, truth = bent(kind)
    score = roc_auc_score if kind == "classification" else r2_score
    fitted = kernel(case)
    assert score(truth, fitted.prediction) > 0.75
    assert fitted.cv > 0.75
    assert score(truth, linear(case).prediction) < 0.65


def test_chooses_on_some_of_many_rows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ROWS", 80)
    case, truth = bent("regression")
    assert r2_score(truth, kernel(case).prediction) > 0.6


def test_vote_is_the_mean_of_both():
    case, _ = data("regression")
    vote, parts = tdc_admet.vote(case), (tdc_admet.ensemble(case), kernel(case))
    np.testing.assert_allclose(vote.prediction, (parts[0].prediction + parts[1].prediction) / 2)
    assert vote.cv == pytest.approx((parts[0].cv + parts[1].cv) / 2)

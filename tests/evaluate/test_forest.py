"""A tree that is cut back against one that scikit-learn grows no further, and bags against scikit-learn's."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from molmv.evaluate.forest import CutForest, cut_nodes


@pytest.mark.parametrize("cut", [2, 3, 7, 40, 1000])
@pytest.mark.parametrize("kind", [DecisionTreeClassifier, DecisionTreeRegressor])
def test_a_cut_tree_is_a_tree_that_was_not_grown_further(kind, cut):
    random = np.random.default_rng(0)
    X, new = random.random((300, 1)).astype(np.float32), random.random((200, 1)).astype(np.float32)
    y = random.integers(0, 2, 300) if kind is DecisionTreeClassifier else random.normal(size=300)
    full = kind(random_state=0).fit(X, y).tree_  # one feature: nothing is drawn
    small = kind(random_state=0, min_samples_split=cut).fit(X, y).tree_
    said = full.value[cut_nodes(full, cut)[full.apply(new)]]
    np.testing.assert_allclose(said, small.value[small.apply(new)])


def test_uncut_it_is_scikit_learns_forest():
    random = np.random.default_rng(1)
    X, y = random.poisson(0.3, (200, 30)).astype(np.float32), random.integers(0, 2, 200).astype(float)
    theirs = RandomForestClassifier(60, criterion="entropy", oob_score=True, random_state=3).fit(X, y)
    for sparse in (False, True):
        ours = CutForest(X, y, True, (2, 10), trees=60, seed=3, sparse=sparse)
        np.testing.assert_allclose(ours.out_of_bag()[0], theirs.oob_decision_function_[:, 1])
        np.testing.assert_allclose(ours.predict(X)[0], theirs.predict_proba(X)[:, 1])


def test_a_cut_forest_is_as_good_as_one_grown_so():
    """Not the same draw: equal within the spread of forests."""
    random = np.random.default_rng(2)
    X = random.normal(size=(600, 10)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] * X[:, 2] + random.normal(size=600) > 0).astype(float)
    train, test = slice(0, 300), slice(300, 600)
    grown = [
        roc_auc_score(
            y[test],
            RandomForestClassifier(100, criterion="entropy", min_samples_split=30, random_state=seed)
            .fit(X[train], y[train])
            .predict_proba(X[test])[:, 1],
        )
        for seed in range(8)
    ]
    cut = CutForest(X[train], y[train], True, (30,), trees=100, seed=9).predict(X[test])[0]
    assert abs(roc_auc_score(y[test], cut) - np.mean(grown)) < 4 * np.std(grown)

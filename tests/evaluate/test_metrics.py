"""Scores against scikit-learn, and where they are undefined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from molmv.evaluate.metrics import score


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40))
def test_auroc_is_scikit_learns_with_ties(rows):
    y, said = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if len(set(y)) == 1:
        assert np.isnan(score("AUROC", y, said))
    else:
        assert score("AUROC", y, said) == pytest.approx(roc_auc_score(y, said), abs=1e-12)


@pytest.mark.parametrize("metric", ["AUROC", "AUPRC", "R2", "Spearman"])
def test_one_row_and_equal_labels_have_no_score(metric):
    assert np.isnan(score(metric, np.array([1.0]), np.array([0.3])))
    assert np.isnan(score(metric, np.ones(4), np.arange(4.0)))

"""Statistics against SciPy, and tables worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from molmv.evaluate import statistics

# Demšar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets; ranks and CD are in the text.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def test_ranks_of_demsars_table():
    np.testing.assert_allclose(statistics.mean_ranks(DEMSAR), [3.143, 2.000, 2.893, 1.964], atol=5e-4)


def test_critical_difference_is_demsars():
    assert statistics.critical_difference(4, 14, alpha=0.05) == pytest.approx(
        2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3
    )
    assert np.isnan(statistics.critical_difference(4, 1))


def test_friedman_is_scipys_and_needs_three():
    assert statistics.friedman(DEMSAR) == stats.friedmanchisquare(*DEMSAR.T).pvalue
    assert np.isnan(statistics.friedman(DEMSAR[:, :2]))


def test_tasks_that_a_model_lacks_do_not_rank():
    table = np.array([[0.9, 0.8], [0.1, np.nan], [0.7, 0.6]])
    assert statistics.mean_ranks(table).tolist() == [1, 2]


def test_wins_and_p_by_hand():
    first, second = np.array([3, 2, 5, 4, 1, np.nan]), np.array([1, 2, 1, 1, 2, 9.0])
    pair = statistics.compare(first, second)
    assert (pair.wins, pair.tasks, pair.difference) == (3.5, 5, pytest.approx(8 / 5))
    assert pair.p == stats.wilcoxon([2, 0, 4, 3, -1]).pvalue
    assert statistics.compare(np.ones(6), np.ones(6)).p == 1
    assert np.isnan(statistics.compare(np.ones(3), np.zeros(3)).p)


def test_holm_by_hand():
    corrected = statistics.holm(np.array([0.01, 0.04, 0.03, np.nan, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, np.nan, 0.02])


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_between_p_and_bonferroni(p):
    p = np.array(p)
    corrected = statistics.holm(p)
    assert (corrected >= p - 1e-15).all()
    assert (corrected <= np.minimum(p * len(p), 1) + 1e-15).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


def test_bootstrap_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(5, 1, 400)
    low, high = statistics.bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert np.isnan(statistics.bootstrap_mean(values[:1])[0])


def test_cliques_by_hand():
    assert statistics.cliques(np.array([1.0, 2.0, 3.5, 1.5]), 1.2) == [(0, 2)]
    assert statistics.cliques(np.array([1.0, 2.0, 3.0]), 1.1) == [(0, 1), (1, 2)]
    assert statistics.cliques(np.array([1.0, 3.0]), 0.5) == []

"""Intervals hold what they promise; calibration is isotonic regression with one more molecule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("sklearn")

from sklearn.isotonic import IsotonicRegression

from molmv.predicting.intervals import VennAbers, conformal_width

FLOATS = st.floats(-100, 100, allow_subnormal=False)


@given(arrays(float, st.integers(1, 60), elements=FLOATS), st.floats(0.05, 0.95))
def test_width_is_the_rank_of_the_definition(residuals: np.ndarray, level: float):
    """At least ⌈(n + 1) level⌉ absolute residuals are inside, fewer are strictly inside; capped at all of them."""
    width = conformal_width(residuals, level)
    rank = min(int(np.ceil((len(residuals) + 1) * level)), len(residuals))
    assert (abs(residuals) <= width).sum() >= rank
    assert (abs(residuals) < width).sum() < rank


def test_coverage_over_many_draws():
    random = np.random.default_rng(0)
    inside = [abs(random.standard_t(3)) <= conformal_width(random.standard_t(3, 40), 0.9) for _ in range(4000)]
    assert 0.89 < np.mean(inside) < 0.93  # between level and level + 1/(n + 1), ± 3 standard errors


def oracle(scores: np.ndarray, y: np.ndarray, new: float, label: float) -> float:
    fit = IsotonicRegression().fit(np.append(scores, new), np.append(y, label))
    return float(fit.predict([new])[0])


@given(st.data())
def test_both_probabilities_are_those_of_isotonic_regression(data: st.DataObject):
    n = data.draw(st.integers(2, 25))
    scores = np.array(data.draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n)), float)
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), float)
    new = data.draw(st.integers(-12, 12)) / 2
    probability, low, high = VennAbers.fit(scores, y)(np.array([new]))
    np.testing.assert_allclose([low[0], high[0]], [oracle(scores, y, new, 0), oracle(scores, y, new, 1)], atol=1e-9)
    assert low[0] <= probability[0] <= high[0]


def test_many_scores_are_joined_and_stay_calibrated():
    random = np.random.default_rng(0)
    true = random.random(5000)
    score, y = np.log(true / (1 - true)) * 3, (random.random(5000) < true).astype(float)
    calibration = VennAbers.fit(score[:2500], y[:2500])
    probability, low, high = calibration(score[2500:])
    assert len(calibration.edges) == 200
    assert np.mean(abs(probability - true[2500:])) < 0.05
    assert (np.diff(probability[np.argsort(score[2500:])]) >= -1e-9).all()
    assert np.mean(high - low) < 0.05

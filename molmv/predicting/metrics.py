"""How good predictions are on molecules with a known value, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

_RESAMPLES = 1000


def main_metric(classify: bool) -> tuple[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Name and function of the figure that counts: AUROC, or the root mean squared error."""
    return ("auroc", auroc) if classify else ("rmse", rmse)


def measure(y: Float64[np.ndarray, " n"], score: Float64[np.ndarray, " n"], classify: bool) -> dict[str, float]:
    """RMSE, MAE, R² and Spearman's ρ of values; AUROC and average precision of scores of classes.

    NaN where a figure is undefined: one class only, or a constant.
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score

    if classify:
        both = len(np.unique(y)) == 2
        auprc = float(average_precision_score(y, score)) if both else float("nan")
        return {"auroc": auroc(y, score), "auprc": auprc}
    varies = len(np.unique(score)) > 1 and len(np.unique(y)) > 1
    return {
        "rmse": rmse(y, score),
        "mae": float(mean_absolute_error(y, score)),
        "r2": float(r2_score(y, score)) if len(y) > 1 else float("nan"),
        "spearman": float(spearmanr(y, score).statistic) if varies else float("nan"),
    }


def probability_metrics(y: Float64[np.ndarray, " n"], probability: Float64[np.ndarray, " n"]) -> dict[str, float]:
    """Brier score, log loss (nats) and expected calibration error (ten bins of equal width)."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return {
        "brier": float(np.mean((p - y) ** 2)),
        "log_loss": float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))),
        "calibration_error": float(np.sum(gaps)),
    }


def bootstrap(
    metric: Callable[[np.ndarray, np.ndarray], float], y: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Float64[np.ndarray, "3 2"]:
    """95 % percentile intervals of a metric of two predictions, and of the first minus the second.

    Molecules are resampled, the same ones for both predictions.
    """
    random = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        rows = random.integers(0, len(y), len(y))
        if len(np.unique(y[rows])) > 1:
            found.append((metric(y[rows], first[rows]), metric(y[rows], second[rows])))
    a, b = np.array(found).T
    return np.quantile([a, b, a - b], [0.025, 0.975], axis=1).T


def rmse(y: Float64[np.ndarray, " n"], prediction: Float64[np.ndarray, " n"]) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean((y - prediction) ** 2)))


def auroc(y: Float64[np.ndarray, " n"], score: Float64[np.ndarray, " n"]) -> float:
    """Area under the ROC curve from ranks (Mann-Whitney): quick enough to be taken a thousand times. NaN for one class.

    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.9, 0.1]))
    0.5
    """
    from scipy.stats import rankdata

    positive = int(y.sum())
    pairs = positive * (len(y) - positive)
    if not pairs:
        return float("nan")
    return float((rankdata(score)[y > 0].sum() - positive * (positive + 1) / 2) / pairs)

"""Kernel ridge regression with a Gaussian kernel; on labels 0 and 1 it is the least-squares SVM.

Suykens and Vandewalle, doi:10.1023/A:1018628609742. What linear models miss it finds among few rows, where networks
learn little.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float

from molmv.evaluate.heads import Data, Fitted, cross_validated, scaled

#: Of the kernel exp(−width / d · ‖x − x'‖²) of z-scored features, and what is added to its diagonal.
WIDTHS, PENALTIES = (0.1, 0.3), (0.03, 0.3, 1.0)
#: Rows that these are chosen on, at most.
ROWS = 2500


def kernel(data: Data) -> Fitted:
    """Kernel ridge regression on z-scored features; width and penalty by cross-validation."""
    few = np.random.default_rng(data.seed).permutation(len(data.y))[:ROWS]
    sample = replace(data, X=data.X[few], y=data.y[few], folds=data.folds[few])
    grid = list(product(WIDTHS, PENALTIES))
    chosen, cv = cross_validated(sample, lambda X, y, X_test: kernel_path(X, y, X_test, WIDTHS, PENALTIES))
    width, penalty = grid[chosen]
    said = kernel_path(data.X, data.y, data.X_test, (width,), (penalty,))
    return Fitted(said[:, 0], cv, f"width={width:g}, penalty={penalty:g}")


def kernel_path(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    X_test: Float[np.ndarray, "m d"],
    widths: tuple[float, ...],
    penalties: tuple[float, ...],
) -> Float[np.ndarray, "m candidates"]:
    """Predictions for each width with each penalty, in this order."""
    A, B = (torch.from_numpy(part.astype(np.float32)) for part in scaled(X, X_test))
    near, far = torch.cdist(A, A).square(), torch.cdist(B, A).square()
    mean = y.mean()
    target = torch.from_numpy(y - mean).float()[:, None]
    found = []
    for width in widths:
        gram, across = (torch.exp(-width / X.shape[1] * part) for part in (near, far))
        for penalty in penalties:
            factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram)))
            found.append((across @ torch.cholesky_solve(target, factor))[:, 0].double().numpy() + mean)
    return np.stack(found, axis=1)

r"""How alike the embeddings of two models are, without labels and whatever their dimensions.

Linear centred kernel alignment (Kornblith et al., *Similarity of Neural Network Representations Revisited*, arXiv
1905.00414), with the unbiased estimate of HSIC (Song et al., JMLR 13, 2012): the plain one finds wide embeddings of few
molecules alike even if they are independent. 1: the same up to rotation and scale; 0: nothing in common.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float


def agreement(embeddings: Mapping[str, Float[np.ndarray, "n _"]]) -> Float[np.ndarray, "models models"]:
    """The alignment of every pair, (models, models), in their order.

    Columns are standardised first, so that none outweighs the others by its unit.

    Args:
        embeddings: of the same molecules, at least four, without NaN.
    """
    kernels = [_kernel(np.asarray(X, np.float64)) for X in embeddings.values()]
    own = [_hsic(kernel, kernel) for kernel in kernels]
    found = np.eye(len(kernels))
    for i, first in enumerate(kernels):
        for j in range(i):
            scale = np.sqrt(max(own[i], 0) * max(own[j], 0))
            found[i, j] = found[j, i] = _hsic(first, kernels[j]) / scale if scale > 0 else np.nan
    return found


def _kernel(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    X = X - X.mean(0)
    spread = X.std(0)
    X = X[:, spread > 1e-6] / spread[spread > 1e-6]
    kernel = X @ X.T / max(X.shape[1], 1)
    np.fill_diagonal(kernel, 0)
    return kernel


def _hsic(K: Float[np.ndarray, "n n"], L: Float[np.ndarray, "n n"]) -> float:
    """The unbiased estimate, of kernels whose diagonals are zero."""
    n = len(K)
    rows = K.sum(0) @ L.sum(0)
    total = (K * L).sum() + K.sum() * L.sum() / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)
    return float(total / (n * (n - 3)))

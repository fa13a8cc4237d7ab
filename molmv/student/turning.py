r"""A student's embedding under another linear map: no layer is added, and it tells what it told.

A loss asks an embedding z to tell of the teachers through its heads. Which distance two embeddings have it does not
ask: any invertible map of z serves it as well. With linear heads :math:`M_k z + b_k` there is one map to choose,

.. math:: z' = A z + a, \qquad A^\top A = \frac{d}{K} \sum_k \frac{M_k^\top M_k}{s_k^2}, \qquad
          A^\top a = \frac{d}{K} \sum_k \frac{M_k^\top b_k}{s_k^2},

after which the inner product of two embeddings is the mean of those of the predicted teachers, up to a constant;
:math:`s_k` is the root mean square length of what is said of teacher k; the width d keeps numbers of the order of 1.
A student folds such a map into its last linear step, so that it costs nothing at work. :func:`main_directions` is
another one, for fewer numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molmv.density.beginning import linear_regression
from molmv.standardise import Standardiser
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint

LinearHead = tuple[Float[Tensor, "dim embedding"], Float[Tensor, " dim"]]
LinearMap = tuple[Float[Tensor, "new embedding"], Float[Tensor, " new"]]

_SMALLEST = 1e-6  # of the spread of A, below which a direction is nothing that a teacher looks at


def turned(
    checkpoint: Checkpoint, name: str, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"], **about: Any
) -> Checkpoint:
    """The same student with the embedding A z + a where it was z, without its heads, which fit it no more.

    Args:
        checkpoint: of the student.
        name: of the new one.
        A: the map; with fewer rows than columns the embedding has fewer numbers.
        a: what is added.
        about: more for the provenance.

    Raises:
        ConfigError: a static text student with a hidden layer, whose last step is not linear.
    """
    network: Any = StudentKind(checkpoint.kind, checkpoint.config).make()
    network.load_state_dict(dict(checkpoint.weights))
    with torch.no_grad():
        network.turn(A, a)
    return Checkpoint(
        name,
        checkpoint.kind,
        {**checkpoint.config, "embedding": len(a)},
        {**checkpoint.provenance, **about},
        network.state_dict(),
        files=checkpoint.files,
    )


def teacher_space(heads: Sequence[LinearHead], Z: Float[Tensor, "n embedding"]) -> LinearMap:
    """A and a of the formula above.

    Args:
        heads: M and b of each teacher.
        Z: embeddings of a sample.
    """
    S = torch.zeros(Z.shape[1], Z.shape[1], dtype=torch.float64)
    c = torch.zeros(Z.shape[1], dtype=torch.float64)
    for M, b in ((M.double(), b.double()) for M, b in heads):
        square = (Z.double() @ M.T + b).square().sum(1).mean() * len(heads) / Z.shape[1]
        S += M.T @ M / square
        c += M.T @ b / square
    values, vectors = torch.linalg.eigh(S)
    values = values.clamp(min=_SMALLEST**2 * float(values[-1]))
    A = vectors * values.sqrt() @ vectors.T
    a = vectors / values.sqrt() @ (vectors.T @ c)
    return A.float(), a.float()


def linear_head(Z: Float[np.ndarray, "n embedding"], T: Float[np.ndarray, "n dim"]) -> LinearHead:
    """M and b with which M z + b is nearest to a teacher's standardised vectors: for a student that has no heads.

    Ridge regression. Standardised is as in training (:class:`molmv.standardise.Standardiser`): no absurd value and no
    rare bit decides alone.

    Args:
        Z: embeddings of a sample.
        T: the teacher's vectors of the same; rows with NaN are left out, as are those of Z.
    """
    known = np.isfinite(Z).all(1) & np.isfinite(T).all(1)
    z, t = torch.from_numpy(Z[known]), torch.from_numpy(T[known])
    t = Standardiser(t.shape[1]).fit(t).transform(t)
    M, b = linear_regression(z, t)
    return M.float(), b.float()


def main_directions(Z: Float[np.ndarray, "n embedding"], width: int, seed: int = 0) -> tuple[LinearMap, float]:
    """Onto the largest principal components, then turned at random; and the share of the variance that is kept.

    Each number of the new embedding carries a share of every component, so a probe that scales them does not blow up
    the smallest.

    Args:
        Z: embeddings of a sample.
        width: how many components.
        seed: of the rotation.
    """
    Z = Z.astype(np.float64)
    centre = Z.mean(0)
    spread, axes = np.linalg.eigh(np.cov((Z - centre).T))
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]
    A = torch.from_numpy((axes[:, ::-1][:, :width] @ rotation).T)
    return (A, -A @ torch.from_numpy(centre)), float(spread[::-1][:width].sum() / spread.sum())

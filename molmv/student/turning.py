r"""A student turned into the space of its teachers: distances and cosines there are those of what it says of them.

A loss asks an embedding z to tell of the teachers through its heads. Which cosine two embeddings have it does not ask:
any invertible map of z serves it as well. With linear heads :math:`M_k z + b_k` there is one map to choose,

.. math:: z' = A z + a, \qquad A^\top A = \frac1K \sum_k \frac{M_k^\top M_k}{s_k^2}, \qquad
          A^\top a = \frac1K \sum_k \frac{M_k^\top b_k}{s_k^2},

after which the inner product of two embeddings is the mean of those of the predicted teachers, up to a constant;
:math:`s_k` is the root mean square length of what is said of teacher k. A text student folds it into its last linear
step, so that it costs nothing at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molmv.errors import ConfigError
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint
from molmv.student.embed import Student

_SMALLEST = 1e-6  # of the spread of A, below which a direction is nothing that a teacher looks at


def turned(checkpoint: Checkpoint, student: Student, inputs: Sequence[Any], teachers: Sequence[str] = ()) -> Checkpoint:
    """The same student, its embedding in the space of its teachers, named ``…-turned``; its heads fit it no more.

    Args:
        checkpoint: of the student.
        student: it at work, with its heads.
        inputs: a sample of what it is to embed, from its corpus: sets the lengths.
        teachers: whose space; all that it has heads for by default.

    Raises:
        ConfigError: heads that are not linear, or a network that has no last linear step.
        UnknownNameError: no head for a teacher.
        CheckpointError: a student without heads.
    """
    network: Any = StudentKind(checkpoint.kind, checkpoint.config).make()
    network.load_state_dict(dict(checkpoint.weights))
    if not hasattr(network, "turn"):
        raise ConfigError(f"A student of kind {checkpoint.kind!r} cannot be turned.")
    names = tuple(teachers) or student.heads.teachers
    Z = student.embed(student.screen(inputs))
    A, a = teacher_space([student.heads.linear(name) for name in names], torch.from_numpy(Z[np.isfinite(Z).all(1)]))
    with torch.no_grad():
        network.turn(A, a)
    provenance = {**checkpoint.provenance, "turned_to": list(names)}
    return Checkpoint(
        f"{checkpoint.name}-turned",
        checkpoint.kind,
        checkpoint.config,
        provenance,
        network.state_dict(),
        files=checkpoint.files,
    )


def teacher_space(
    heads: Sequence[tuple[Float[Tensor, "dim embedding"], Float[Tensor, " dim"]]], Z: Float[Tensor, "n embedding"]
) -> tuple[Float[Tensor, "embedding embedding"], Float[Tensor, " embedding"]]:
    """A and a of the formula above.

    Args:
        heads: M and b of each teacher.
        Z: embeddings of a sample.
    """
    S = torch.zeros(Z.shape[1], Z.shape[1], dtype=torch.float64)
    c = torch.zeros(Z.shape[1], dtype=torch.float64)
    for M, b in ((M.double(), b.double()) for M, b in heads):
        square = (Z.double() @ M.T + b).square().sum(1).mean() * len(heads)
        S += M.T @ M / square
        c += M.T @ b / square
    values, vectors = torch.linalg.eigh(S)
    values = values.clamp(min=_SMALLEST**2 * float(values[-1]))
    A = vectors * values.sqrt() @ vectors.T
    a = vectors / values.sqrt() @ (vectors.T @ c)
    return A.float(), a.float()

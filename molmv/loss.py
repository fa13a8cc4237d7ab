r"""The majority-vote loss: how badly a student's embedding tells what its teachers see.

For a student embedding :math:`z` and teachers :math:`t_1 \dots t_K` of dimensions :math:`d_k`,

.. math:: L = \sum_k w_k \cdot \Big( -\tfrac{1}{d_k} E_\varepsilon \log q_k(t_k + \varepsilon \mid z) \Big),

with one head :math:`q_k` for each teacher (arXiv 2510.18680; ``docs/theory.md`` says what it bounds, and when).
The class only owns the heads and the weights; the mathematics of one teacher is in
:mod:`molmv.density.likelihood`, and asks any distribution for its log-probability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn
from torch.distributions import Distribution

from molmv.density import Density, make_density
from molmv.density.likelihood import teacher_loss
from molmv.errors import ConfigError, UnknownNameError
from molmv.gradient_balance import GradientBalance

Objective = Literal["nll", "mse", "cosine", "smooth_l1_cosine"]
Weighting = Literal["per_dimension", "uniform", "learnt", "balanced"]

#: A learnt weight stays within a factor of ten of one: a likelihood may be negative, and would then be
#: minimised by an infinite weight.
LEARNT_WEIGHT_BOUND = math.log(10)


@dataclass(frozen=True)
class TeacherSpec:
    """What the loss has to know of a teacher.

    Attributes:
        dim: width of its standardised embedding.
        likelihood: how its values are distributed: a name in ``molmv.density.DENSITIES``.
    """

    dim: int
    likelihood: str = "gaussian"


@dataclass(frozen=True)
class LossOutput:
    """A loss and its parts.

    Attributes:
        total: the scalar to differentiate.
        per_dimension: for each teacher the mean over its present rows, in nats per dimension (for a point objective, in
            units of that objective); detached, zero where no row is present.
        nats: the same, times the teacher's dimension.
        rows: how many rows of the batch each teacher has.
        weights: the weight of each teacher in ``total``; zero where it was dropped.
    """

    total: Float[Tensor, ""]
    per_dimension: dict[str, Tensor]
    nats: dict[str, Tensor]
    rows: dict[str, Tensor]
    weights: dict[str, Tensor]


def drop_teachers(count: int, probability: float, device: torch.device) -> Float[Tensor, " teachers"]:
    """Random factors that switch teachers off for one step; each has mean one, and one is always on.

    If chance drops all, one picked at random is kept; a kept factor is one over its probability of being kept,
    so that the expected gradient is that of the whole loss.
    """
    on = torch.rand(count, device=device) >= probability
    saved = torch.arange(count, device=device) == torch.randint(count, (), device=device)
    on = on | (saved & ~on.any())
    return on / (1 - probability + probability**count / count)


class MajorityVoteLoss(nn.Module):
    """Heads for all teachers and the weighted sum of their negative log-likelihoods.

    In anyone's training loop, for any modality:

        >>> loss = MajorityVoteLoss({"bert": TeacherSpec(16), "bits": TeacherSpec(64, "bernoulli")}, embedding_dim=8)
        >>> student = nn.Linear(5, 8)
        >>> optimiser = torch.optim.Adam([*student.parameters(), *loss.parameters()])
        >>> out = loss(student(torch.randn(32, 5)), {"bert": torch.randn(32, 16), "bits": torch.ones(32, 64)})
        >>> out.total.backward(); optimiser.step()

    Under autocast the matrix products of the heads are in half precision; densities and loss are in float32 always.

    Args:
        teachers: what to predict, by name.
        embedding_dim: width of the student's embedding.
        weights: ``per_dimension`` weighs every teacher's nats *per dimension* alike (the paper's); ``uniform``
            weighs every nat alike (what the bound sums), as ``dim / mean dim``; ``learnt`` fits one weight a
            teacher (the uncertainty weights of arXiv 1705.07115, within a factor of ten); ``balanced`` gives all
            teachers the same pull on the student (:mod:`molmv.gradient_balance`); a mapping gives the factor on the
            nats per dimension of each.
        objective: ``nll`` uses each teacher's own likelihood; any other name in ``molmv.density.DENSITIES``
            replaces all of them, as the baselines ``mse``, ``cosine`` and ``smooth_l1_cosine`` do with the same trunks.
        noise: standard deviation of the noise through which continuous teachers are seen, in standardised
            units; 0 is the paper's loss. See ``molmv.density.gaussian``.
        hidden: width of the heads.
        depth: number of blocks of each head; 0 is linear.
        teacher_dropout: probability that a teacher is left out of a training step.

    Attributes:
        heads: the density of each teacher.

    Raises:
        ConfigError: no teacher, weights that do not name every teacher, or an impossible size.
        UnknownNameError: an unknown likelihood, objective or weighting.
    """

    fixed_weights: Tensor
    raw_weights: nn.Parameter | None
    balance: GradientBalance | None

    def __init__(
        self,
        teachers: Mapping[str, TeacherSpec],
        embedding_dim: int,
        *,
        weights: Weighting | Mapping[str, float] = "per_dimension",
        objective: Objective = "nll",
        noise: float = 0.5,
        hidden: int = 512,
        depth: int = 2,
        teacher_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not teachers:
            raise ConfigError("Expected at least one teacher, got none.")
        if not 0 <= teacher_dropout < 1:
            raise ConfigError(f"Expected 0 <= teacher_dropout < 1, got {teacher_dropout}.")
        self.teachers = dict(teachers)
        self.embedding_dim = embedding_dim
        self.teacher_dropout = teacher_dropout
        self.heads = nn.ModuleDict()
        for name, spec in teachers.items():
            likelihood = spec.likelihood if objective == "nll" else objective
            self.heads[_key(name)] = make_density(
                likelihood, embedding_dim, spec.dim, noise=noise, hidden=hidden, depth=depth
            )
        fixed_weights = torch.tensor(_fixed_weights(self.teachers, weights))
        self.register_buffer("fixed_weights", fixed_weights, persistent=False)
        self.raw_weights = nn.Parameter(torch.zeros(len(teachers))) if weights == "learnt" else None
        self.balance = GradientBalance(len(teachers)) if weights == "balanced" else None

    def head(self, name: str) -> Density:
        """The density of a teacher.

        Raises:
            UnknownNameError: no teacher of that name.
        """
        if name not in self.teachers:
            raise UnknownNameError(f"No teacher {name!r} in this loss.", f"It has: {', '.join(self.teachers)}.")
        return cast(Density, self.heads[_key(name)])

    def predict(self, name: str, z: Float[Tensor, "batch embedding"]) -> Distribution:
        """Distribution of one teacher's standardised embedding, given the student's (batch, embedding_dim).

        Raises:
            UnknownNameError: no teacher of that name.
            ShapeError: ``z`` is not (batch, embedding_dim).
        """
        q: Distribution = self.head(name)(z)
        return q

    def distributions(self, z: Float[Tensor, "batch embedding"]) -> dict[str, Distribution]:
        """Distributions of all teachers' standardised embeddings."""
        return {name: self.predict(name, z) for name in self.teachers}

    def forward(
        self,
        z: Float[Tensor, "batch embedding"],
        targets: Mapping[str, Num[Tensor, "batch dim"]],
        present: Mapping[str, Bool[Tensor, " batch"]] | None = None,
        mean_rows: Callable[[Tensor], Tensor] | None = None,
    ) -> LossOutput:
        """The loss of a batch.

        Args:
            z: the student's embedding, (batch, embedding_dim).
            targets: standardised values of every teacher, (batch, dim) each; any real dtype. A row with a NaN
                is missing.
            present: for some or all teachers which rows they have, (batch,) each.
            mean_rows: where several processes share a batch: from the rows that each teacher has here, (teachers,), to
                their mean over the processes. The losses are then such that *their* mean over the processes, and that
                of their gradients, is the loss of the whole batch.

        Raises:
            UnknownNameError: ``targets`` lacks a teacher, or it or ``present`` has an unknown one.
            ShapeError: shapes that do not fit together.
        """
        present = present or {}
        self._check_names(targets, present)
        losses, masks = {}, {}
        for i, name in enumerate(self.teachers):
            q = self.predict(name, self.balance(z, i) if self.balance else z)
            with torch.autocast(z.device.type, enabled=False):
                losses[name], masks[name] = teacher_loss(q, targets[name], present.get(name))
        if mean_rows is not None:
            rows = torch.stack([mask.sum() for mask in masks.values()]).float()
            factors = rows / mean_rows(rows).clamp(min=torch.finfo(rows.dtype).tiny)
            losses = {name: loss * factor for (name, loss), factor in zip(losses.items(), factors, strict=True)}
        with torch.autocast(z.device.type, enabled=False):
            weights, penalty = self._weights()
            total = torch.stack(list(losses.values())) @ weights + penalty
        per_dimension = {name: loss.detach() for name, loss in losses.items()}
        return LossOutput(
            total=total,
            per_dimension=per_dimension,
            nats={name: loss * self.teachers[name].dim for name, loss in per_dimension.items()},
            rows={name: mask.sum() for name, mask in masks.items()},
            weights=dict(zip(losses, weights.detach(), strict=True)),
        )

    def _weights(self) -> tuple[Float[Tensor, " teachers"], Float[Tensor, ""]]:
        """Weights of this step, and what learnt weights pay for being small."""
        weights, penalty = self.fixed_weights, self.fixed_weights.new_zeros(())
        if self.raw_weights is not None:
            log_weights = LEARNT_WEIGHT_BOUND * torch.tanh(self.raw_weights)
            weights, penalty = weights * log_weights.exp(), -log_weights.sum()
        if self.training and self.teacher_dropout:
            weights = weights * drop_teachers(len(self.teachers), self.teacher_dropout, weights.device)
        return weights, penalty

    def _check_names(self, targets: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> None:
        unknown = [name for name in (*targets, *present) if name not in self.teachers]
        if unknown:
            raise UnknownNameError(f"No teacher {unknown[0]!r} in this loss.", f"It has: {', '.join(self.teachers)}.")
        lacking = [name for name in self.teachers if name not in targets]
        if lacking:
            raise UnknownNameError(
                f"Expected targets for every teacher, got none for {lacking[0]!r}.",
                "Pass rows of NaN for a teacher that is missing.",
            )


def _key(name: str) -> str:
    """A name that torch accepts for a submodule: it refuses dots, and names that a ModuleDict has as attributes."""
    return "teacher:" + name.replace("%", "%25").replace(".", "%2E")


def _fixed_weights(teachers: Mapping[str, TeacherSpec], weights: Weighting | Mapping[str, float]) -> list[float]:
    """The factor on the nats per dimension of each teacher."""
    if isinstance(weights, Mapping):
        if set(weights) != set(teachers) or not all(0 <= weight < math.inf for weight in weights.values()):
            raise ConfigError(f"Expected one finite weight >= 0 for each of {sorted(teachers)}, got {dict(weights)}.")
        return [float(weights[name]) for name in teachers]
    if weights == "uniform":
        mean_dim = sum(spec.dim for spec in teachers.values()) / len(teachers)
        return [spec.dim / mean_dim for spec in teachers.values()]
    if weights in ("per_dimension", "learnt", "balanced"):
        return [1.0] * len(teachers)
    raise UnknownNameError(f"Unknown weights {weights!r}.", "Choose one of: balanced, learnt, per_dimension, uniform.")

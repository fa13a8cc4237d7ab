r"""How many nats an embedding holds about a teacher: an estimate of I(T; Z) from held-out rows.

.. math:: \hat I = E\big[\log q(t \mid z) - \log q(t)\big]

Both densities are mixtures (as in KNIFE, Pichler et al., arXiv 2202.06618), fitted on the same rows, stopped by
others, and evaluated on rows that neither has seen. ``docs/theory.md`` section 5 says when this is a bound.

A continuous teacher is first put into coordinates in which its dimensions are uncorrelated; so is what is left of it
after a ridge regression on z. Neither changes the information: a linear map adds its log-determinant to the
log-density, a shift by a function of z adds nothing. The conditional density then starts as a density of that
remainder which ignores z, and what training adds is kept only if it helps on the stopping rows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.distributions import Distribution

from molmv.density import BernoulliMixtureDensity, Density, GaussianMixtureDensity, make_density
from molmv.errors import ConfigError, ShapeError

Model = TypeVar("Model", bound=nn.Module)

#: Densities of bits and of real values that are flexible enough to be a marginal.
MIXTURES: dict[str, Callable[..., Density]] = {
    "gaussian": partial(GaussianMixtureDensity, noise=0.0),
    "bernoulli": BernoulliMixtureDensity,
}
#: Ridge penalties that are tried, relative to the variance of a column of z; the infinite one ignores z.
PENALTIES = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, math.inf)
#: Smallest variance of a direction, relative to the mean one.
SMALLEST_VARIANCE = 1e-6
FEWEST_ROWS = 100
BATCH = 256
#: Epochs without improvement on the stopping rows before the learning rate falls to a tenth, and then for good.
PATIENCE = 3


@dataclass(frozen=True)
class Information:
    """An estimate of mutual information.

    Attributes:
        nats: the estimate.
        low: lower end of the 95 % confidence interval.
        high: upper end of it. The interval is that of a mean over the held-out rows; it does not know how well the
            densities are fitted.
        rows: how many held-out rows the estimate is the mean of.
    """

    nats: float
    low: float
    high: float
    rows: int


def information_of(conditional: Float[Tensor, " rows"], marginal: Float[Tensor, " rows"]) -> Information:
    """Information from log-densities at held-out rows, in nats.

    Args:
        conditional: log q(t | z), (rows,).
        marginal: log q(t), (rows,).

    Raises:
        ShapeError: not two vectors of one length of at least two.

    Example:
        >>> information_of(torch.tensor([-1.0, -1.0]), torch.tensor([-1.5, -2.5]))
        Information(nats=1.0, low=0.02..., high=1.98, rows=2)
    """
    if conditional.ndim != 1 or conditional.shape != marginal.shape or len(conditional) < 2:
        raise ShapeError(
            "Expected two vectors of one length of at least 2, "
            f"got {tuple(conditional.shape)} and {tuple(marginal.shape)}."
        )
    gain = (conditional - marginal).double()
    mean, error = gain.mean().item(), gain.std().item() / math.sqrt(len(gain))
    return Information(mean, mean - 1.96 * error, mean + 1.96 * error, len(gain))


def estimate_information(
    z: Num[Tensor, "rows embedding"],
    targets: Num[Tensor, "rows dim"],
    *,
    likelihood: str = "gaussian",
    noise: float = 0.5,
    components: int = 4,
    hidden: int = 256,
    epochs: int = 40,
    extrapolate: bool = True,
    seed: int = 0,
) -> Information:
    """Fits a conditional and a marginal density and compares them on held-out rows.

    80 % of the rows are for fitting, 10 % for stopping, 10 % for the estimate. Memory and time are those of a small
    network; the random state of torch is left as it was.

    Args:
        z: the embedding, (rows, embedding); any scale.
        targets: what it should tell of, (rows, dim): standardised values, bits or counts, without NaN.
        likelihood: ``gaussian`` for any continuous teacher, ``bernoulli`` for bits; any other name in
            ``molmv.density.DENSITIES`` is used as it is (``count`` takes dimensions as independent, given z and not).
        noise: for a continuous teacher, the standard deviation of the noise through which it is seen, as in the
            loss. Zero for I(T; Z) itself, which may be infinite.
        components: of the mixtures.
        hidden: width of the network.
        epochs: at most so many passes over the rows for fitting.
        extrapolate: fit on half the rows too, and remove the part of the error that falls as one over their number:
            what d_z x d_t coefficients cost. Without it the estimate is lower, and safer as a lower bound.
        seed: of the split, the noise and the networks.

    Returns:
        The estimate; it may be slightly negative.

    Raises:
        ShapeError: ``z`` and ``targets`` are not two matrices of as many rows.
        ConfigError: fewer than 100 rows, values that are not finite, or an impossible option.

    Example:
        >>> z = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
        >>> estimate_information(z, z, noise=1.0, epochs=2).nats  # in truth half of log 2, 0.347
        0.3...
    """
    if z.ndim != 2 or targets.ndim != 2 or len(z) != len(targets):
        raise ShapeError(f"Expected two matrices of as many rows, got {tuple(z.shape)} and {tuple(targets.shape)}.")
    if len(z) < FEWEST_ROWS or not (z.isfinite().all() and targets.isfinite().all()):
        raise ConfigError(
            f"Expected at least {FEWEST_ROWS} rows of finite values, got {len(z)} rows.", "Leave out invalid rows."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tenth = len(z) // 10
        split = _Split(*torch.randperm(len(z)).split([len(z) - 2 * tenth, tenth, tenth]))
        z, targets = _standardised(z.detach().float(), split), targets.detach().float()
        if likelihood == "gaussian":
            targets = targets + noise * torch.randn_like(targets)
        estimate = partial(
            _log_densities, z, targets, likelihood=likelihood, components=components, hidden=hidden, epochs=epochs
        )
        conditional, marginal = estimate(split)
        if not extrapolate:
            return information_of(conditional, marginal)
        half_conditional, half_marginal = estimate(split._replace(fit=split.fit[::2]))
        return information_of(2 * conditional - half_conditional, 2 * marginal - half_marginal)


class _Split(NamedTuple):
    """Indices of the rows for fitting, for stopping, and for the estimate."""

    fit: Tensor
    stop: Tensor
    held_out: Tensor


def _log_densities(
    z: Tensor, targets: Tensor, split: _Split, *, likelihood: str, components: int, hidden: int, epochs: int
) -> tuple[Float[Tensor, " held_out"], Float[Tensor, " held_out"]]:
    """The densities log q(t | z) and log q(t) at the held-out rows."""
    remainder, volume, remaining_volume = targets, 0.0, 0.0
    if likelihood == "gaussian":
        remainder, remaining_volume = _uncorrelated(targets - _regression(z, targets, split), split)
        targets, volume = _uncorrelated(targets, split)
    make: Callable[..., Density] = partial(make_density, likelihood, noise=0.0)
    if likelihood in MIXTURES:
        make = partial(MIXTURES[likelihood], components=components)
    train = partial(_train, z=z, split=split, epochs=epochs)
    marginal = train(_Unconditional(make, targets.shape[1]), values=targets, rate=1e-2)
    start = train(_Unconditional(make, targets.shape[1]), values=remainder, rate=1e-2)
    conditional = train(_Conditional(make, z.shape[1], hidden, start), values=remainder, rate=1e-3)
    held_out = split.held_out
    with torch.no_grad():
        return (
            conditional(z[held_out]).log_prob(remainder[held_out]) + remaining_volume,
            marginal(z[held_out]).log_prob(targets[held_out]) + volume,
        )


class _Unconditional(nn.Module):
    """A density that ignores its condition."""

    def __init__(self, make: Callable[..., Density], dim: int) -> None:
        super().__init__()
        self.density = make(1, dim, depth=0)
        # Components that start nearly alike are a good density of whitened values from the first step.
        with torch.no_grad():
            self.density.readout.bias.mul_(0.3)

    def forward(self, z: Float[Tensor, "rows embedding"]) -> Distribution:
        q: Distribution = self.density(z.new_zeros(len(z), 1))
        return q


class _Conditional(nn.Module):
    """A density of z, by itself and through a small network; it starts as the given density, which ignores z."""

    def __init__(self, make: Callable[..., Density], in_dim: int, hidden: int, start: _Unconditional) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(in_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.density = make(in_dim + hidden, start.density.dim, depth=0)
        with torch.no_grad():
            for own, given in zip(self.density.parameters(), start.density.parameters(), strict=True):
                own.copy_(given if own.shape == given.shape else torch.zeros_like(own))

    def forward(self, z: Float[Tensor, "rows embedding"]) -> Distribution:
        q: Distribution = self.density(torch.cat([z, self.network(z)], dim=1))
        return q


def _train(model: Model, *, z: Tensor, values: Tensor, split: _Split, epochs: int, rate: float) -> Model:
    """Maximises the likelihood on the rows for fitting; returns the model that was best on the rows for stopping."""

    def score() -> float:
        with torch.no_grad():
            return model(z[split.stop]).log_prob(values[split.stop]).mean().item()

    best, best_state = score(), copy.deepcopy(model.state_dict())
    for current_rate in (rate, rate / 10):
        optimiser = torch.optim.Adam(model.parameters(), lr=current_rate)
        since = 0
        for _ in range(epochs):
            for rows in split.fit[torch.randperm(len(split.fit))].split(BATCH):
                optimiser.zero_grad()
                (-model(z[rows]).log_prob(values[rows]).mean()).backward()
                optimiser.step()
            since += 1
            if (now := score()) > best:
                best, best_state, since = now, copy.deepcopy(model.state_dict()), 0
            if since == PATIENCE:
                break
        model.load_state_dict(best_state)
    return model


def _standardised(z: Float[Tensor, "rows embedding"], split: _Split) -> Float[Tensor, "rows embedding"]:
    fit = z[split.fit]
    return (z - fit.mean(0)) / fit.std(0).clamp(min=1e-6)


def _uncorrelated(values: Float[Tensor, "rows dim"], split: _Split) -> tuple[Float[Tensor, "rows dim"], float]:
    """The values in principal coordinates of unit variance, and the log-determinant of that map."""
    fit = values[split.fit].double()
    centre = fit.mean(0)
    variance, axes = torch.linalg.eigh((fit - centre).T @ (fit - centre) / len(fit))
    variance = variance.clamp(min=SMALLEST_VARIANCE * variance.mean().item())
    return ((values - centre) @ (axes / variance.sqrt())).float(), -0.5 * variance.log().sum().item()


def _regression(
    z: Float[Tensor, "rows embedding"], targets: Float[Tensor, "rows dim"], split: _Split
) -> Float[Tensor, "rows dim"]:
    """Prediction of the targets by the ridge regression that is best, as a Gaussian, on the rows for stopping."""
    z, targets = z.double(), targets.double()
    fit, stop = split.fit, split.stop
    spectrum, axes = torch.linalg.eigh(z[fit].T @ z[fit] / len(fit))
    centred = targets[fit] - targets[fit].mean(0)
    projected = axes.T @ (z[fit].T @ centred) / len(fit)

    def score(weight: Tensor) -> float:
        error = centred - z[fit] @ weight
        root = torch.linalg.cholesky(error.T @ error / len(fit) + 1e-9 * torch.eye(error.shape[1]))
        unseen = targets[stop] - targets[fit].mean(0) - z[stop] @ weight
        scaled = torch.linalg.solve_triangular(root, unseen.T, upper=False)
        return -root.diagonal().log().sum().item() - 0.5 * scaled.square().sum(0).mean().item()

    weights = [axes @ (projected / (spectrum + penalty)[:, None]) for penalty in PENALTIES]
    return (z @ max(weights, key=score)).float()

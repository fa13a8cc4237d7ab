"""Brings a teacher's embedding to zero mean and unit spread, and back.

Everything is estimated on training rows only and kept in the state dict, so that the student's checkpoint
can answer in the teacher's own units.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from molmv.errors import ConfigError, ShapeError

Mode = Literal["scale", "whiten", "identity"]

#: A column whose kept range is this small, relative to its values, is constant up to rounding.
CONSTANT_RANGE = 1e-5
#: A principal component with less than this share of the largest variance is noise of rounding.
SMALLEST_COMPONENT = 1e-6
#: A column with more than this share of NaN is dropped; in the others a NaN only costs its row.
NAN_SHARE = 0.05
#: Columns are sorted in blocks, to bound memory.
BLOCK = 256
CHUNK = 8192


class Standardiser(nn.Module):
    r"""Clips, centres and scales the columns of one teacher, and drops the constant ones.

    ``scale``: :math:`y_i = (\min(\max(x_i, l_i), h_i) - m_i) / s_i`, with :math:`l, h` the recorded quantiles, and
    :math:`m, s` mean and standard deviation after that clip, so that one absurd value (RDKit's ``Ipc`` reaches
    1e50) does not flatten its column; then :math:`|y_i|` is clipped at ``max_sd``.
    ``whiten``: the same, then rotated to uncorrelated components of unit variance.
    ``identity``: for bits and counts; values pass unchanged.
    In all modes a column is dropped if it is constant between its two quantiles (so, if nearly all rows share
    one value), or NaN in more than 5 % of rows.

    Fit with :meth:`fit`, or chunk by chunk with :meth:`partial_fit` and then :meth:`finish`. Statistics are those of
    a uniform sample of at most ``sample_rows`` training rows: memory does not grow with the corpus. Rows that are
    all NaN are taken as invalid.

    Args:
        dim: width of the teacher's raw embedding.
        mode: ``scale``, ``whiten`` or ``identity``; a density names the one it needs in ``Density.scaling``.
        quantile: share of rows beyond each of the two quantiles.
        max_sd: largest standardised value.
        sample_rows: how many training rows the statistics are of.
        seed: of the choice of those rows.

    Attributes:
        kept: index of the columns that are kept, (kept,).
        constant: the value of each column (its mean, for a kept one), (dim,): what ``inverse`` fills in.

    Raises:
        ConfigError: an unknown mode or an impossible number.

    Example:
        >>> values = torch.tensor([[1.0, 7.0], [3.0, 7.0], [5.0, 7.0], [torch.nan, torch.nan]])
        >>> standardiser = Standardiser(2).fit(values)
        >>> standardiser.out_dim, standardiser.dropped.tolist()
        (1, [1])
        >>> standardiser.inverse(standardiser.transform(values[:3]))
        tensor([[1., 7.],
                [3., 7.],
                [5., 7.]])
    """

    kept: Tensor
    constant: Tensor
    low: Tensor
    high: Tensor
    centre: Tensor
    scale: Tensor
    rotation: Tensor
    unrotation: Tensor

    def __init__(
        self,
        dim: int,
        mode: Mode = "scale",
        *,
        quantile: float = 0.0005,
        max_sd: float = 10.0,
        sample_rows: int = 16384,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if mode not in ("scale", "whiten", "identity"):
            raise ConfigError(f"Unknown mode {mode!r}.", "Choose one of: identity, scale, whiten.")
        if dim < 1 or sample_rows < 2 or not 0 <= quantile < 0.5 or not max_sd > 0:
            raise ConfigError(
                "Expected dim >= 1, sample_rows >= 2, 0 <= quantile < 0.5 and max_sd > 0, "
                f"got {dim=}, {sample_rows=}, {quantile=}, {max_sd=}."
            )
        self.dim, self.mode = dim, mode
        self.quantile, self.max_sd, self.sample_rows = quantile, max_sd, sample_rows
        self._sample: _UniformSample | None = _UniformSample(sample_rows, dim, seed)
        # Empty until fitted; their lengths depend on the data.
        for name in ("kept", "constant", "low", "high", "centre", "scale", "rotation", "unrotation"):
            self.register_buffer(name, torch.empty(0, dtype=torch.long if name == "kept" else torch.float32))

    @property
    def fitted(self) -> bool:
        """Whether there are statistics, fitted or loaded."""
        return len(self.constant) > 0

    @property
    def out_dim(self) -> int:
        """Width of the standardised embedding."""
        self._check_fitted()
        return self.rotation.shape[1] if self.mode == "whiten" else len(self.kept)

    @property
    def dropped(self) -> Tensor:
        """Index of the columns that are not kept, (dim - kept,)."""
        self._check_fitted()
        is_dropped = torch.ones(self.dim, dtype=torch.bool, device=self.kept.device)
        is_dropped[self.kept] = False
        return is_dropped.nonzero()[:, 0]

    def fit(self, values: Any, valid: Any = None) -> Standardiser:
        """Fits to all rows of an array, tensor or memory map, read in chunks; returns itself.

        Args:
            values: (rows, dim), anything that slices to what ``torch.as_tensor`` takes.
            valid: (rows,) boolean; all if not given.

        Raises:
            ShapeError: wrong shapes.
            ConfigError: no valid row, or no column to keep.
        """
        for start in range(0, len(values), CHUNK):
            rows = slice(start, start + CHUNK)
            self.partial_fit(torch.as_tensor(values[rows]), None if valid is None else torch.as_tensor(valid[rows]))
        return self.finish()

    def partial_fit(self, values: Num[Tensor, "rows dim"], valid: Bool[Tensor, " rows"] | None = None) -> None:
        """Takes in one chunk of training rows.

        Raises:
            ShapeError: wrong shapes.
            ConfigError: already finished.
        """
        if self._sample is None:
            raise ConfigError("This standardiser is fitted already.", "Make a new one.")
        self._check_width(values, self.dim)
        if valid is not None and valid.shape != values.shape[:1]:
            raise ShapeError(f"Expected valid of shape ({len(values)},), got {tuple(valid.shape)}.")
        usable = ~values.isnan().all(1) if valid is None else valid & ~values.isnan().all(1)
        self._sample.add(values.detach()[usable].cpu())

    def finish(self) -> Standardiser:
        """Turns the rows taken in into statistics; returns itself.

        Raises:
            ConfigError: no valid row, or no column to keep.
        """
        if self._sample is None or not len(self._sample.rows):
            raise ConfigError("Expected at least one valid row to fit a standardiser to, got none.")
        sample, self._sample = self._sample.rows, None
        low, high = _quantiles(sample, self.quantile)
        clipped = sample.clamp(low, high)
        self.constant = clipped.nanmean(0, dtype=torch.float64).nan_to_num().float()
        tolerance = CONSTANT_RANGE * torch.maximum(low.abs(), high.abs())
        usable = (high - low > tolerance) & (sample.isnan().float().mean(0) <= NAN_SHARE)
        self.kept = usable.nonzero()[:, 0]
        if not len(self.kept):
            raise ConfigError(f"Expected a column that varies, got {self.dim} constant ones.")
        if self.mode != "identity":
            self._fit_scale(clipped[:, self.kept], low[self.kept], high[self.kept])
        return self

    def _fit_scale(self, clipped: Tensor, low: Tensor, high: Tensor) -> None:
        clipped = clipped.double()
        centre = clipped.nanmean(0)
        scale = (clipped - centre).square().nanmean(0).sqrt()
        self.centre, self.scale = centre.float(), scale.float()
        self.low = torch.maximum(low, (centre - self.max_sd * scale).float())
        self.high = torch.minimum(high, (centre + self.max_sd * scale).float())
        if self.mode == "whiten":
            unit = ((clipped - centre) / scale).nan_to_num(0.0)
            variance, axes = torch.linalg.eigh(unit.T @ unit / len(unit))
            variance, axes = variance.flip(0), axes.flip(1)
            strong = variance > SMALLEST_COMPONENT * variance[0]
            variance, axes = variance[strong], axes[:, strong]
            self.rotation = (axes / variance.sqrt()).float()
            self.unrotation = (axes * variance.sqrt()).T.float()

    def transform(self, values: Num[Tensor, "rows dim"]) -> Num[Tensor, "rows out"]:
        """Raw (rows, dim) to standardised (rows, out_dim); float32, but unchanged dtype in mode ``identity``.

        Infinities are clipped; a NaN stays NaN, and the loss takes its row as missing.

        Raises:
            ShapeError: not (rows, dim).
            ConfigError: not fitted.
        """
        self._check_fitted()
        self._check_width(values, self.dim)
        values = values if len(self.kept) == self.dim else values[:, self.kept]
        if self.mode == "identity":
            return values
        unit = (values.float().clamp(self.low, self.high) - self.centre) / self.scale
        return unit @ self.rotation if self.mode == "whiten" else unit

    def inverse(self, standardised: Num[Tensor, "rows out"]) -> Float[Tensor, "rows dim"]:
        """Standardised (rows, out_dim) to raw (rows, dim), in the teacher's units; dropped columns get their constant.

        Raises:
            ShapeError: not (rows, out_dim).
            ConfigError: not fitted.
        """
        self._check_width(standardised, self.out_dim)
        values = standardised.float()
        if self.mode == "whiten":
            values = values @ self.unrotation
        if self.mode != "identity":
            values = values * self.scale + self.centre
        raw = self.constant.expand(len(values), self.dim).clone()
        raw[:, self.kept] = values
        return raw

    def inverse_sd(self, sd: Float[Tensor, "rows out"]) -> Float[Tensor, "rows dim"]:
        """Standard deviations of independent standardised values to raw units; zero for dropped columns.

        Raises:
            ShapeError: not (rows, out_dim).
            ConfigError: not fitted.
        """
        self._check_width(sd, self.out_dim)
        sd = sd.float()
        if self.mode == "whiten":
            sd = (sd.square() @ self.unrotation.square()).sqrt()
        if self.mode != "identity":
            sd = sd * self.scale
        raw = sd.new_zeros(len(sd), self.dim)
        raw[:, self.kept] = sd
        return raw

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # The buffers of an unfitted standardiser are empty: take on the lengths of the saved ones.
        for name, buffer in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if saved is not None and buffer is not None:
                self._buffers[name] = buffer.new_empty(saved.shape)
        self._sample = None
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise ConfigError("This standardiser is not fitted.", "Call fit, or load a state dict.")

    @staticmethod
    def _check_width(values: Tensor, width: int) -> None:
        if values.ndim != 2 or values.shape[1] != width:
            raise ShapeError(f"Expected values of shape (rows, {width}), got {tuple(values.shape)}.")


class _UniformSample:
    """A uniform sample without replacement of at most ``size`` rows of a stream.

    Every row draws a random key, and the rows with the smallest keys stay: uniform however the stream is chunked.
    """

    def __init__(self, size: int, dim: int, seed: int) -> None:
        self.size = size
        self.rows = torch.empty(0, dim)
        self._keys = torch.empty(0)
        self._generator = torch.Generator().manual_seed(seed)

    def add(self, values: Num[Tensor, "rows dim"]) -> None:
        keys = torch.rand(len(values), generator=self._generator)
        if len(self._keys) == self.size:
            better = keys < self._keys.max()
            values, keys = values[better], keys[better]
        keys, rows = torch.cat([self._keys, keys]), torch.cat([self.rows, values.float()])
        self._keys, best = keys.topk(min(self.size, len(keys)), largest=False)
        self.rows = rows[best]


def _quantiles(sample: Float[Tensor, "rows dim"], tail: float) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
    """Values beyond which a share ``tail`` of the finite rows lies, for each column; zero for a column of none."""
    lows, highs = [], []
    for block in sample.split(BLOCK, dim=1):
        finite = torch.where(block.isfinite(), block, torch.nan)
        ordered = finite.sort(dim=0).values  # NaN last
        last = block.isfinite().sum(0) - 1
        skip = (tail * (last + 1)).long()
        lows.append(ordered.gather(0, skip[None])[0])
        highs.append(ordered.gather(0, (last - skip).clamp(min=0)[None])[0])
    return torch.cat(lows).nan_to_num(0.0), torch.cat(highs).nan_to_num(0.0)

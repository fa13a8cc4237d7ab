"""Image features that nobody trained: gradients, colours, and convolutions with random filters.

Each looks at an image's central square, resized to ``size`` pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch.nn.functional import avg_pool2d, conv2d

from molmv import images
from molmv.cards import TeacherCard
from molmv.errors import CardError

Squares = UInt8[np.ndarray, "n size size 3"]
ORIENTATIONS = 9  # in half a turn
CLIP = 0.2  # Lowe's: no gradient counts for more than this share of its block
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def hog(pixels: Squares, cell: int = 8, block: int = 2, stride: int = 1) -> Float32[np.ndarray, "n dim"]:
    """Histograms of oriented gradients (Dalal and Triggs, doi:10.1109/CVPR.2005.177) of the image in grey.

    Args:
        pixels: squares.
        cell: side of a cell, in pixels.
        block: side of a block that is normalised by itself, in cells.
        stride: cells from one block to the next.
    """
    grey = np.sqrt(pixels.astype(np.float32) @ GREY)
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.hypot(dx, dy)
    turn = np.rad2deg(np.arctan2(dy, dx)) % 180
    which = np.minimum((turn * (ORIENTATIONS / 180)).astype(np.int64), ORIENTATIONS - 1)
    n, size = len(grey), grey.shape[1]
    cells = size // cell
    votes = np.zeros((n, cells, cells, ORIENTATIONS), dtype=np.float32)
    inside = slice(0, cells * cell)
    for k in range(ORIENTATIONS):
        own = np.where(which == k, strength, 0)[:, inside, inside]
        votes[..., k] = own.reshape(n, cells, cell, cells, cell).mean(axis=(2, 4))
    blocks = []
    for row in range(0, cells - block + 1, stride):
        for column in range(0, cells - block + 1, stride):
            values = votes[:, row : row + block, column : column + block].reshape(n, -1)
            values = np.minimum(_normalised(values), CLIP)
            blocks.append(_normalised(values))
    return np.concatenate(blocks, axis=1)


def _normalised(values: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    unit: np.ndarray = values / np.sqrt(np.square(values).sum(axis=1, keepdims=True) + 1e-10)
    return unit


def colour(pixels: Squares, grid: int = 4, bins: int = 16) -> Float32[np.ndarray, "n dim"]:
    """Mean and standard deviation of each colour in each field of a grid, and a histogram of each colour.

    Args:
        pixels: squares, whose side ``grid`` divides.
        grid: fields to a side.
        bins: of a histogram.
    """
    n, size = len(pixels), pixels.shape[1]
    unit = pixels.astype(np.float32) / 255
    fields = unit.reshape(n, grid, size // grid, grid, size // grid, 3)
    statistics = [fields.mean(axis=(2, 4)).reshape(n, -1), fields.std(axis=(2, 4)).reshape(n, -1)]
    levels = pixels.reshape(n, -1, 3) // (256 // bins)
    histograms = [(levels == level).mean(axis=1, dtype=np.float32) for level in range(bins)]
    return np.concatenate([*statistics, *histograms], axis=1)


def random_convolutions(
    pixels: Squares, filters: int = 128, kernel: int = 5, grid: int = 4, seed: int = 0
) -> Float32[np.ndarray, "n dim"]:
    """Responses of random filters, rectified both ways and averaged in each field of a grid.

    Untrained convolutions see more than pixels do (Saxe et al., ICML 2011). Each image is normalised first.

    Args:
        pixels: squares.
        filters: how many, of normally distributed numbers without mean.
        kernel: side of a filter.
        grid: fields to a side.
        seed: of the filters.
    """
    weight = np.random.default_rng(seed).standard_normal((filters, 3, kernel, kernel), dtype=np.float32)
    weight -= weight.mean(axis=(1, 2, 3), keepdims=True)
    weight /= np.sqrt(np.square(weight).sum(axis=(1, 2, 3), keepdims=True))
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    x = (x - x.mean(dim=(1, 2, 3), keepdim=True)) / (x.std(dim=(1, 2, 3), keepdim=True, correction=0) + 10)
    response = conv2d(x, torch.from_numpy(weight), padding=kernel // 2)
    both = torch.cat([response.relu(), (-response).relu()], dim=1)
    side = pixels.shape[1] // grid
    return avg_pool2d(both, side)[:, :, :grid, :grid].flatten(1).numpy()


FEATURES: dict[str, Callable[..., np.ndarray]] = {
    "hog": hog,
    "colour": colour,
    "random_convolutions": random_convolutions,
}


class ImageFeatures:
    """One of :data:`FEATURES`.

    Options of the card: ``features``, its name; ``size``, the side of the square that it looks at (32 by default); and
    the arguments of that function.

    Raises:
        CardError: there is no such feature, or it has no such argument.
        MissingExtraError: Pillow is not installed.
    """

    takes_parsed = True

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        images.require_pillow()
        options: dict[str, Any] = dict(card.options)
        name, self._size = options.pop("features", None), options.pop("size", 32)
        if name not in FEATURES:
            raise CardError(
                f"Teacher {card.name!r}: option features: expected {' or '.join(FEATURES)}; found {name!r}."
            )
        self._function, self._options = FEATURES[name], options
        try:
            blank = np.zeros((1, self._size, self._size, 3), dtype=np.uint8)
            self.dim: int = self._function(blank, **options).shape[1]
        except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
            raise CardError(f"Teacher {card.name!r}: impossible options: {error}.") from error

    @torch.inference_mode()
    def embed_batch(self, inputs: Sequence[UInt8[np.ndarray, "h w 3"]]) -> np.ndarray:
        """Features of decoded images, float32 ``(len(inputs), dim)``."""
        if not inputs:
            return np.empty((0, self.dim), dtype=np.float32)
        return self._function(images.squares(inputs, self._size), **self._options)

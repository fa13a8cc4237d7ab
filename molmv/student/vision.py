"""The image student: a small residual network (He et al., arXiv:1512.03385) that reads small squares.

An image's central square is resized to ``size`` pixels a side (bicubic, averaging where it shrinks). A first
convolution steps over patches of ``patch`` pixels, each further stage halves the map; the last map is averaged, or for
``pooling = "grid"`` kept as it is, and projected. Everything trains on one core of a CPU within minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor, nn

from molmv import images
from molmv.device import one_thread, pick_device
from molmv.errors import ConfigError
from molmv.rows import Rows
from molmv.student.checkpoint import Checkpoint, restore
from molmv.student.folding import fold_into
from molmv.student.sizes import LARGEST, read_sizes, whole_numbers
from molmv.table import open_table

BATCH = 256  # images in one forward pass
LARGEST_SIDE = 512  # of the square
MOST_STAGES, MOST_BLOCKS = 8, 64
POOLINGS = ("mean", "grid")


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of an image student.

    Attributes:
        size: side of the square that it reads, in pixels.
        patch: step of the first convolution.
        widths: channels of each stage; each but the first halves the map.
        blocks: residual blocks in a stage.
        pooling: ``mean`` over the last map, or ``grid``: the whole of it.
        embedding: width of the image's embedding.
    """

    size: int = 32
    patch: int = 2
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1
    pooling: str = "grid"
    embedding: int = 256

    def __post_init__(self) -> None:
        whole_numbers(self, "size", "patch", "blocks", "embedding")
        if not 0 < len(self.widths) <= MOST_STAGES or not all(
            type(width) is int and 0 < width <= LARGEST["width"] for width in self.widths
        ):
            what = f"1 to {MOST_STAGES} whole numbers above 0, at most {LARGEST['width']:,}"
            raise ConfigError(f"student.widths: expected {what}, got {self.widths!r}.")
        if self.blocks > MOST_BLOCKS:
            raise ConfigError(f"student.blocks: {self.blocks:,} is over {MOST_BLOCKS}.")
        if self.pooling not in POOLINGS:
            raise ConfigError(f"student.pooling: expected {' or '.join(POOLINGS)}, got {self.pooling!r}.")
        step = self.patch << (len(self.widths) - 1)
        if self.size > LARGEST_SIDE or self.size % step:
            raise ConfigError(f"student.size: expected a multiple of {step} up to {LARGEST_SIDE}, got {self.size!r}.")

    @property
    def side(self) -> int:
        """Of the last map."""
        return self.size // (self.patch << (len(self.widths) - 1))


class Residual(nn.Module):
    """Two convolutions whose result is added to what they read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(width, width), nn.ReLU(), *_convolution(width, width))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """One block."""
        return torch.relu(x + self.body(x))


class VisionEncoder(nn.Module):
    """Squares in, one embedding each out.

    Args:
        config: its sizes.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for before, width in zip((3, *config.widths), config.widths, strict=False):
            step = 2 if layers else config.patch
            layers += [nn.Conv2d(before, width, step, step, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [Residual(width) for _ in range(config.blocks)]
        self.layers = nn.Sequential(*layers)
        self.readout = nn.Linear(
            config.widths[-1] * (config.side**2 if config.pooling == "grid" else 1), config.embedding
        )

    def forward(self, pixels: UInt8[Tensor, "n size size 3"]) -> Float[Tensor, "n embedding"]:
        """Embeddings of a batch."""
        x = self.layers(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)  # already in the order that CPUs like
        return self.readout(x.mean(dim=(2, 3)) if self.config.pooling == "mean" else x.flatten(1))

    def turn(self, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"]) -> None:
        """Make the embedding A z + a where it was z."""
        fold_into(self.readout, A, a)


def _convolution(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)


def make_encoder(sizes: Mapping[str, Any]) -> VisionEncoder:
    """A fresh encoder from plain sizes.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    encoder = VisionEncoder(read_sizes(VisionConfig, sizes))
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class ImageInputs:
    """Squares of every row of a corpus, in memory: 3 kB each of 32 pixels a side."""

    def __init__(self, pixels: UInt8[np.ndarray, "rows size size 3"], usable: Bool[np.ndarray, " rows"]) -> None:
        self.pixels, self.usable = pixels, usable

    def batch(self, rows: np.ndarray) -> UInt8[Tensor, "n size size 3"]:
        """Some rows."""
        return torch.from_numpy(self.pixels[rows])


def read_corpus(path: Path, sizes: Mapping[str, Any]) -> ImageInputs:
    """Squares of every image of a folder or a table of images, for a student of these sizes.

    Raises:
        InputError: it cannot be read.
        ConfigError: an unknown or impossible size.
    """
    size = read_sizes(VisionConfig, sizes).size
    parts = [
        read_squares(images.screen(c.values, c.problems), size)
        for c in open_table(path, modality=images.IMAGE).chunks(BATCH)
    ]
    pixels, usable = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return ImageInputs(pixels, usable)


def read_squares(rows: Rows, size: int) -> tuple[UInt8[np.ndarray, "rows size size 3"], Bool[np.ndarray, " rows"]]:
    """The central squares of all rows, black where refused, and which were not. ``rows`` is changed in place."""
    pixels = np.zeros((len(rows), size, size, 3), dtype=np.uint8)
    for i, image in images.each(rows):
        pixels[i] = images.squares([image], size)[0]
    return pixels, rows.valid


class VisionRunner:
    """Embeds the images of rows with a trained encoder; on a CPU it uses one core.

    Args:
        checkpoint: of a student of this kind.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: images in one forward pass.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
        self.encoder = restore(lambda: make_encoder(checkpoint.config), checkpoint.weights)
        self.device, self.batch_size = pick_device(device), batch_size or BATCH
        self.encoder.to(self.device).eval()

    @torch.inference_mode()
    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        pixels, usable = read_squares(rows, self.encoder.config.size)
        out = np.full((len(rows), self.encoder.config.embedding), np.nan, dtype=np.float32)
        good = np.flatnonzero(usable)
        with one_thread():
            for start in range(0, len(good), self.batch_size):
                piece = good[start : start + self.batch_size]
                out[piece] = self.encoder(torch.from_numpy(pixels[piece]).to(self.device)).cpu().numpy()
        return out

"""Small image files, good and bad, that suites and tests share; made when asked for, the same every time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def picture(seed: int, height: int = 24, width: int = 32) -> Any:
    """An RGB image of Pillow with a smooth pattern of that seed."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Any, kind: str = "PNG", **options: Any) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def good_images() -> tuple[bytes, ...]:
    """Files that every reader of images must embed and tell apart."""
    from PIL import Image

    sizes = [(24, 32), (32, 32), (5, 90), (64, 64), (200, 300)]
    made = [encoded(picture(seed, *size)) for seed, size in enumerate(sizes)]
    grey = encoded(picture(7).convert("L"))
    return (*made, grey, encoded(Image.new("RGB", (1, 1), "red")), encoded(picture(8), "JPEG", quality=95))


def respelt_images() -> tuple[bytes, ...]:
    """The same pixels in other files: as TIFF without compression."""
    from PIL import Image

    return tuple(encoded(Image.open(io.BytesIO(data)).convert("RGB"), "TIFF") for data in good_images())


def bad_images() -> tuple[Any, ...]:
    """What every reader of images must refuse."""
    photograph = encoded(picture(9, 100, 100), "JPEG")
    png = encoded(picture(9))
    return (None, b"", b"no image", photograph[: len(photograph) // 2], png[: len(png) // 2], "no/such/file.png", 7)

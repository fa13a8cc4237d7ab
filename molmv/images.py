"""Image files in, uint8 RGB arrays out, and for each row that is refused a status and a reason.

Nothing is dropped and nothing shifts: every function here returns one entry a row, in order. This is where molmv
touches Pillow. What is done with an image that is not plain 8-bit RGB:

====================================  =================================================================================
greyscale, 1 bit, palette, YCbCr      converted to RGB
transparent                           laid on white
16-bit greyscale                      the upper 8 bits
CMYK                                  converted to RGB without a colour profile
EXIF orientation                      turned upright
several frames or pages               the first one is read, and the row is marked ``truncated``
more than :data:`KEPT_PIXELS`         reduced to that, keeping its shape (no model here looks at more)
more than :data:`MAX_PIXELS`          ``too_large``, told from the header: never decompressed
32-bit integers or floats             ``invalid``: nobody knows which number is white
damaged, cut off, no image            ``invalid``
no bytes, no name                     ``empty``
====================================  =================================================================================
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from molmv.errors import MissingExtraError
from molmv.modality import Modality
from molmv.rows import EMPTY, INVALID, OK, TOO_LARGE, TRUNCATED, Rows

MAX_PIXELS = 1 << 26  # 8,192 × 8,192: 200 MB as RGB
MAX_BYTES = 1 << 28
KEPT_PIXELS = 512 * 512
_DEEP = ("I", "F")
_SIXTEEN = "I;16"
_SHOWN = 60  # letters of a value in a reason


class ImageFile(str):
    """The path of an image, as the user's table has it, that knows what it is relative to."""

    folder: Path

    def __new__(cls, path: str, folder: Path = Path()) -> ImageFile:  # noqa: D102
        made = super().__new__(cls, path)
        made.folder = folder
        return made

    def read(self) -> bytes:
        """The bytes of the file, no more than :data:`MAX_BYTES` and one.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no regular file (a device or a pipe would never end), or its name is impossible.
        """
        path = self.folder / self
        if path.exists() and not path.is_file():
            raise ValueError(f"{self} is not a file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)


def screen(values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
    """Refuse what is refused unseen.

    Args:
        values: of each row the bytes of an image file, an :class:`ImageFile`, a path, or a uint8 array
            ``(height, width, 3)``.
        problems: row -> what is wrong with the line that it comes from.
    """
    rows = Rows(list(values), [OK] * len(values), [""] * len(values))
    for i, value in enumerate(values):
        if problems and i in problems:
            rows.refuse(i, INVALID, problems[i])
        elif value is None or isinstance(value, float) and math.isnan(value):
            rows.refuse(i, EMPTY, "missing")
        elif isinstance(value, str | Path):
            if str(value).strip() in ("", "."):
                rows.refuse(i, EMPTY, "empty")
        elif isinstance(value, bytes):
            if not value:
                rows.refuse(i, EMPTY, "no bytes")
            elif len(value) > MAX_BYTES:
                rows.refuse(i, TOO_LARGE, f"over {MAX_BYTES:,} bytes")
        elif not isinstance(value, np.ndarray):
            rows.refuse(i, INVALID, f"expected an image, found a {type(value).__name__}: {str(value)[:_SHOWN]!r}")
        elif value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
            rows.refuse(i, INVALID, f"expected an array (height, width, 3) of uint8, found {value.dtype} {value.shape}")
    return rows


def parse(rows: Rows) -> list[UInt8[np.ndarray, "height width 3"] | None]:
    """The pixels of every row, None where refused; rows that cannot be decoded are refused in place.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    found: list[np.ndarray | None] = [None] * len(rows)
    for i, image in each(rows):
        found[i] = image
    return found


def each(rows: Rows) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    """Row and pixels of one good row after the other, so that not all need be in memory; as :func:`parse` otherwise."""
    require_pillow()
    for i in rows.good:
        image = _decoded(rows, i)
        if image is not None:
            yield i, image


def canonical(images: Sequence[UInt8[np.ndarray, "height width 3"] | None]) -> list[str]:
    """A text that is the same for the same pixels, whatever file they came in; ``""`` for None."""
    return [
        "" if image is None else f"{image.shape[0]}x{image.shape[1]}:{hashlib.sha256(image.tobytes()).hexdigest()}"
        for image in images
    ]


def squares(
    images: Sequence[UInt8[np.ndarray, "height width 3"]], size: int, crop: float = 1.0, resample: str = "bicubic"
) -> UInt8[np.ndarray, "n size size 3"]:
    """The central squares of images, resized.

    Args:
        images: of any shapes.
        size: side of the result.
        crop: side of the square, as a share of the image's shorter side.
        resample: ``bilinear``, ``bicubic`` or ``lanczos``; when it shrinks, Pillow's filters look at every pixel.
    """
    from PIL import Image

    how = Image.Resampling[resample.upper()]
    out = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        side = min(height, width) * crop
        left, top = (width - side) / 2, (height - side) / 2
        if (height, width, side) == (size, size, size):
            out[i] = image
        else:
            box = (left, top, left + side, top + side)
            out[i] = np.asarray(Image.fromarray(image).resize((size, size), how, box))
    return out


def require_pillow() -> None:
    """Say so if Pillow is missing.

    Raises:
        MissingExtraError: it is.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pillow", "image") from error


def _decoded(rows: Rows, i: int) -> np.ndarray | None:
    value: Any = rows.inputs[i]
    if isinstance(value, np.ndarray):
        return value
    try:
        data = value if isinstance(value, bytes) else _file(value).read()
    except (OSError, ValueError) as error:
        rows.refuse(i, INVALID, getattr(error, "strerror", None) or str(error))
        return None
    if not data:
        rows.refuse(i, EMPTY, "no bytes")
    elif len(data) > MAX_BYTES:
        rows.refuse(i, TOO_LARGE, f"over {MAX_BYTES:,} bytes")
    else:
        return _open(rows, i, data)
    return None


def _file(value: str | Path | ImageFile) -> ImageFile:
    return value if isinstance(value, ImageFile) else ImageFile(str(value))


def _open(rows: Rows, i: int, data: bytes) -> np.ndarray | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a bomb below our own limit, of odd metadata
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{width:,} × {height:,} pixels, over {MAX_PIXELS:,}")
                if image.mode in _DEEP:
                    rows.refuse(i, INVALID, "32-bit pixels, whose white is not known")
                    return None
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # phones hide previews in MPO
                image.seek(0)
                pixels = _rgb(image)
    except Image.DecompressionBombError as error:
        rows.refuse(i, TOO_LARGE, str(error))
        return None
    except UnidentifiedImageError:
        rows.refuse(i, INVALID, "not an image that Pillow knows")
        return None
    except MemoryError:
        raise
    except Exception as error:  # decoders of many formats: whatever they raise costs the row, not the run
        rows.refuse(i, INVALID, f"damaged: {' '.join(str(error).split())[:200] or type(error).__name__}")
        return None
    if frames > 1:
        rows.mark(i, TRUNCATED, f"the first of {frames} frames was read")
    return pixels


def _rgb(image: Any) -> np.ndarray:
    """Decode; what the module's table says, in its order."""
    from PIL import Image, ImageOps

    small = _reduced(image.size)
    if small != image.size and image.format == "JPEG":
        image.draft(None, small)  # decodes at a half, a quarter or an eighth, never below what is wanted
    image.load()
    if image.mode.startswith(_SIXTEEN):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    small = _reduced(image.size)
    if small != image.size:
        image = image.resize(small, Image.Resampling.BOX)
    return np.array(image)


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """A size of the same shape with no more than :data:`KEPT_PIXELS`."""
    factor = math.sqrt(KEPT_PIXELS / (size[0] * size[1]))
    if factor >= 1:
        return size
    width, height = (max(1, math.floor(side * factor)) for side in size)
    return min(width, KEPT_PIXELS), min(height, KEPT_PIXELS)


IMAGE = Modality(
    "image",
    ("image", "path", "file", "file_name", "filename"),
    screen,
    parse,
    canonical,
    spells=False,
    in_file=ImageFile,
    rows=256,
    packages=("pillow",),
)

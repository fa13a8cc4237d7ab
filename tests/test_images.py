"""Files that are no plain 8-bit RGB images: each is decoded as documented, or refused with a reason, in its place."""

import io
import os
import pickle
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molmv import images
from molmv.images import IMAGE, ImageFile, canonical, parse, screen, squares
from molmv.rows import EMPTY, INVALID, OK, TOO_LARGE, TRUNCATED, row_keys
from molmv.testing.images import bad_images, encoded, good_images, picture, respelt_images

Image = pytest.importorskip("PIL.Image", reason="needs molmv[image]")


def read(value):
    """Status, reason and pixels of one input."""
    rows = screen([value])
    (pixels,) = parse(rows)
    assert (pixels is None) == (not rows.valid[0])
    return rows.status[0], rows.reason[0], pixels


def test_plain_images_are_read_as_they_are():
    status, reason, pixels = read(encoded(picture(0)))
    assert (status, reason) == (OK, "")
    np.testing.assert_array_equal(pixels, np.asarray(picture(0)))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LAB", "RGBA"])
def test_other_modes_become_rgb(mode: str):
    image = picture(1).convert(mode)
    kind = "PNG" if mode in ("L", "1", "P", "RGBA") else "TIFF"
    status, _, pixels = read(encoded(image, kind))
    assert status == OK
    assert pixels.shape == (24, 32, 3)
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


def test_sixteen_bits_keep_the_upper_eight():
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 255
    status, _, pixels = read(encoded(Image.fromarray(deep)))
    assert status == OK
    np.testing.assert_array_equal(pixels[..., 0], deep // 256)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_are_refused(dtype: type):
    status, reason, _ = read(encoded(Image.fromarray(np.ones((4, 4), dtype=dtype)), "TIFF"))
    assert status == INVALID
    assert "32-bit" in reason


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 255, 255))
    assert read(encoded(clear))[2].tolist() == [[[0, 0, 255], [255, 255, 255]]]
    palette = picture(0).convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert read(encoded(palette, transparency=palette.getpixel((0, 0))))[2][0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (8, 1), (3, 2), (6, 3)])
def test_cameras_orientation_is_applied(orientation: int, turns: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    *_, pixels = read(encoded(picture(2), exif=exif))
    np.testing.assert_array_equal(pixels, np.rot90(np.asarray(picture(2)), turns))


def test_of_an_animation_the_first_frame_is_read():
    frames = [picture(seed).convert("P") for seed in (3, 4, 5)]
    status, reason, pixels = read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (status, reason) == (TRUNCATED, "the first of 3 frames was read")
    np.testing.assert_array_equal(pixels, read(encoded(frames[0], "GIF"))[2])


def test_one_pixel_is_an_image():
    assert read(encoded(Image.new("RGB", (1, 1), (1, 2, 3))))[2].tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("size", [(8193, 8192), (20_000, 20_000), (65_000, 65_000)])
def test_a_bomb_is_told_from_its_header(size: tuple[int, int]):
    """A file of a hundred bytes that claims billions of pixels; were they made, this would take gigabytes."""
    head = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    tracemalloc.start()
    try:
        status, reason, _ = read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == TOO_LARGE
    assert "pixels" in reason
    assert peak < 5_000_000


def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    data = encoded(picture(0))
    (tmp_path / "large.png").write_bytes(data)
    monkeypatch.setattr(images, "MAX_BYTES", len(data) - 1)
    assert read(data)[0] == TOO_LARGE
    assert read(ImageFile("large.png", tmp_path))[0] == TOO_LARGE


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_images_are_reduced(kind: str):
    *_, pixels = read(encoded(picture(0, 1000, 2000), kind))
    height, width = pixels.shape[:2]
    assert height * width <= images.KEPT_PIXELS
    assert width / height == pytest.approx(2, rel=0.01)
    small = np.asarray(picture(0, 1000, 2000).resize((width, height), Image.Resampling.BOX)).astype(int)
    assert np.abs(pixels - small).mean() < 3


def test_a_long_strip_keeps_at_least_one_row():
    *_, pixels = read(encoded(Image.new("L", (400_000, 2))))
    assert pixels.shape[0] >= 1
    assert pixels.shape[0] * pixels.shape[1] <= images.KEPT_PIXELS


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        (None, EMPTY, "missing"),
        (float("nan"), EMPTY, "missing"),
        ("  ", EMPTY, "empty"),
        (b"", EMPTY, "no bytes"),
        (b"GIF89a", INVALID, "not an image"),
        (b"<svg/>", INVALID, "not an image"),
        (7, INVALID, "found a int"),
        (np.zeros((3, 3)), INVALID, "uint8"),
        (np.zeros((0, 3, 3), dtype=np.uint8), INVALID, "uint8"),
        ("no/such.png", INVALID, "No such file"),
        ("a\0b", INVALID, "null"),
        (".", EMPTY, "empty"),
        ("/", INVALID, "not a file"),
        (os.devnull, INVALID, "not a file"),
        ("x" * 5000, INVALID, "too long"),
    ],
)
def test_refused(value, status: str, said: str):
    found, reason, _ = read(value)
    assert found == status
    assert said in reason


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_file_costs_its_row_only(kind: str, data: st.DataObject):
    """Bytes changed or cut off anywhere: the row is refused with a reason, or read as some image."""
    whole = encoded(picture(6), kind)
    cut = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=8))
    place = data.draw(st.integers(0, max(0, cut - len(noise))))
    damaged = (whole[:place] + noise + whole[place + len(noise) :])[:cut]
    good = encoded(picture(0))
    rows = screen([good, damaged, good])
    first, _, last = parse(rows)
    np.testing.assert_array_equal(first, last)
    assert len(rows) == 3
    assert rows.valid[1] or rows.reason[1]


@given(st.lists(st.sampled_from([*good_images(), *bad_images()]), max_size=8))
def test_rows_never_shift(values: list):
    rows = screen(values)
    pixels = parse(rows)
    assert len(pixels) == len(rows) == len(values)
    for value, image, status, reason in zip(values, pixels, rows.status, rows.reason, strict=True):
        if value in bad_images():
            assert image is None
            assert status != OK
            assert reason
        else:
            np.testing.assert_array_equal(image, read(value)[2])


def test_keys_are_of_pixels_not_of_files():
    keys = [row_keys(canonical(parse(screen(list(files))))) for files in (good_images(), respelt_images())]
    np.testing.assert_array_equal(*keys)
    assert len(set(keys[0].tolist())) == len(good_images())
    assert canonical([None]) == [""]
    wide, tall = (np.zeros(shape, dtype=np.uint8) for shape in ((1, 2, 3), (2, 1, 3)))
    assert canonical([wide]) != canonical([tall])


def test_problems_of_the_table_are_reasons():
    rows = screen([encoded(picture(0))] * 2, {1: "a link that leaves the folder"})
    assert (rows.status, rows.reason[1]) == ([OK, INVALID], "a link that leaves the folder")


def test_a_path_is_relative_to_its_table(tmp_path: Path):
    (tmp_path / "one.png").write_bytes(encoded(picture(0)))
    path = ImageFile("one.png", tmp_path)
    assert path == "one.png"
    assert read(path)[0] == OK
    again = pickle.loads(pickle.dumps(path))  # as it reaches another process
    assert (again, again.folder) == (path, tmp_path)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_squares_have_their_size(height: int, width: int, size: int):
    image = np.full((height, width, 3), 77, dtype=np.uint8)
    found = squares([image, image], size)
    assert found.shape == (2, size, size, 3)
    assert (found == 77).all()


def test_squares_are_of_the_middle():
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, 2:6] = 255
    assert (squares([image], 4) == 255).all()
    assert (squares([image.transpose(1, 0, 2)], 2, crop=0.5) == 255).all()
    plain = np.asarray(picture(0, 16, 16))
    np.testing.assert_array_equal(squares([plain], 16)[0], plain)


def test_the_record():
    assert (IMAGE.name, IMAGE.columns[0], IMAGE.in_file) == ("image", "image", ImageFile)
    assert io.BytesIO(encoded(picture(0))).read() == encoded(picture(0))

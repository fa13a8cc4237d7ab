"""HOG, colour statistics and random convolutions: the suite, and what each of them says of images made for it."""

import numpy as np
import pytest

from molmv.adapters.image_features import colour, hog, random_convolutions
from molmv.cards import read_card
from molmv.errors import CardError
from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite
from molmv.testing.images import bad_images, good_images, respelt_images

pytest.importorskip("PIL", reason="needs molmv[image]")


class ImageAdapterSuite(AdapterSuite):
    good, bad, respelt, packages = good_images(), bad_images(), respelt_images(), ("PIL.Image",)


class TestHog(ImageAdapterSuite):
    teacher_name = "hog"


class TestColourStatistics(ImageAdapterSuite):
    teacher_name = "colour-statistics"


class TestRandomConvolutions(ImageAdapterSuite):
    teacher_name = "random-convolutions"


def test_hog_equals_that_of_scikit_image():
    """Of ``skimage.feature.hog(grey, 9, (8, 8), (2, 2), "L2-Hys", transform_sqrt=True)`` 0.26.0 on this image."""
    y, x = np.mgrid[:24, :24]
    image = np.stack([(x * 7 + y * 3) % 256, (x * y) % 256, (x * x + 5 * y) % 256], axis=2).astype(np.uint8)
    found = hog(image[None], cell=8, block=2, stride=1)[0]
    assert found.shape == (144,)
    np.testing.assert_allclose(found[HOG_PLACES], HOG_VALUES, atol=2e-6)


HOG_PLACES = [0, 1, 5, 20, 50, 77, 100, 143]
HOG_VALUES = [0.193119, 0.385885, 0.0, 0.0, 0.193184, 0.0, 0.366766, 0.060805]


def test_gradients_of_a_ramp_have_one_direction():
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8), (32, 32))
    upright = hog(np.repeat(ramp[None, :, :, None], 3, axis=3), cell=8).reshape(-1, 9)
    lying = hog(np.repeat(ramp.T[None, :, :, None], 3, axis=3), cell=8).reshape(-1, 9)
    assert (upright[:, 1:] == 0).all()  # 0 degrees: the brightness changes along x only
    assert (np.delete(lying, 4, axis=1) == 0).all()  # 90 degrees
    assert (upright[:, 0] > 0).all()


def test_colour_statistics_are_those_of_numpy():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    found = colour(pixels, grid=2, bins=4)
    field = pixels[1, 4:, :4].astype(float) / 255  # the third of four fields
    np.testing.assert_allclose(found[1, 6:9], field.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found[1, 12 + 6 : 12 + 9], field.std(axis=(0, 1)), rtol=1e-5)
    for channel in range(3):
        counts, _ = np.histogram(pixels[1, :, :, channel], bins=4, range=(0, 256))
        np.testing.assert_allclose(found[1, 24 + channel :: 3], counts / 64)


def test_random_convolutions_are_seeded():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    first, again, other = (random_convolutions(pixels, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_brightness_does_not_matter_to_random_convolutions():
    dark = np.random.default_rng(0).integers(0, 128, (1, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(random_convolutions(dark, 8), random_convolutions(dark + 100, 8), atol=1e-4)


@pytest.mark.parametrize("options", ['features = "sift"', 'features = "hog"\ncells = 3', 'features = "hog"\ncell = 0'])
def test_impossible_options(tmp_path, options):
    path = tmp_path / "toy.toml"
    path.write_text(
        f'name = "toy"\nmodality = "image"\nadapter = "image_features"\ndim = 0\nlikelihood = "gaussian"\n'
        f'[options]\n{options}\n[provenance]\nlicence = "MIT"\ntrained_on = []\nlabels_seen = []\n'
    )
    assert read_card(path).modality == "image"
    with pytest.raises(CardError, match="option"):
        load_teacher(str(path))

"""Networks that look at images: the suite on small ones of each kind, and EfficientNet-Lite against its port."""

from pathlib import Path

import image_networks
import numpy as np
import pytest
import torch

from molmv import images
from molmv.adapters.efficientnet_lite import SCALES, EfficientNetLite, folded
from molmv.cards import load_card
from molmv.errors import CardError, WeightsError
from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite, embed
from molmv.testing.images import bad_images, good_images, respelt_images

pytest.importorskip("PIL", reason="needs molmv[image]")


class ImageEncoderSuite(AdapterSuite):
    good, bad, respelt = good_images(), bad_images(), respelt_images()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def card(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.teacher_name = str(cls.write(tmp_path_factory.mktemp("card")))


class TestEfficientNetLite(ImageEncoderSuite):
    packages = ("PIL.Image",)

    @staticmethod
    def write(folder: Path) -> Path:
        return image_networks.efficientnet(folder)


class TestOnnx(ImageEncoderSuite):
    packages = ("onnxruntime",)

    @staticmethod
    def write(folder: Path) -> Path:
        return image_networks.onnx_graph(folder)


class TestDinov2(ImageEncoderSuite):
    packages = ("transformers",)

    @staticmethod
    def write(folder: Path) -> Path:
        return image_networks.transformer(folder, "dinov2", "cls")


class TestSiglip(ImageEncoderSuite):
    packages = ("transformers",)

    @staticmethod
    def write(folder: Path) -> Path:
        return image_networks.transformer(folder, "siglip", "pooler")


@pytest.mark.parametrize(("variant", "size"), [("efficientnet-lite0", 64), ("efficientnet-lite2", 57)])
def test_efficientnet_equals_its_port(variant: str, size: int):
    """Features of efficientnet-lite-pytorch 0.1.0 with the same weights and image; 57 pixels need uneven padding."""
    network = EfficientNetLite(SCALES[variant]).eval()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict(image_networks.filled(shapes, 0))
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, size, size))).float()
    with torch.inference_mode():
        plain = network(x)[0]
        fast = folded(network)(x)[0]
    assert plain.shape == (1280,)
    np.testing.assert_allclose(plain[PLACES], GOLDEN[variant], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)


PLACES = [0, 1, 100, 500, 900, 1279]
GOLDEN = {
    "efficientnet-lite0": [2.379289, 0.731283, 0.543395, 0.786303, 0.0, 1.314343],
    "efficientnet-lite2": [2.247769, 0.0, 3.209885, 0.58209, 0.381109, 1.418198],
}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("size = 0", "size"),
        ("crop = 1.5", "crop"),
        ('filter = "nearest"', "filter"),
        ("std = [1, 0, 1]", "std"),
        ("mean = [1, 2]", "mean"),
        ('network = "resnet"', "network"),
        ("sizes = 3", "sizes"),
    ],
)
def test_impossible_options(tmp_path: Path, line: str, said: str):
    path = image_networks.onnx_graph(tmp_path)
    key = line.split(" ")[0]
    kept = [row for row in path.read_text().splitlines() if not row.startswith(f"{key} =")]
    kept.insert(kept.index("[options]") + 1, line)
    path.write_text("\n".join(kept))
    with pytest.raises(CardError, match=f"option {said}"):
        load_teacher(str(path))


def test_weights_of_another_network(tmp_path: Path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    path = image_networks.write_card(tmp_path, "other", "efficientnet-lite0", "other.pth")
    with pytest.raises(WeightsError, match="does not hold the weights of efficientnet-lite0"):
        load_teacher(str(path))


def test_nothing_unpickles(tmp_path: Path):
    torch.save({"weight": Path("a")}, tmp_path / "code.pth")
    path = image_networks.write_card(tmp_path, "code", "efficientnet-lite0", "code.pth")
    with pytest.raises(WeightsError):
        load_teacher(str(path))


@pytest.mark.parametrize("name", ["dinov2-small", "siglip-base"])
def test_weights_of_unknown_hash_are_not_opened(name: str):
    with pytest.raises(WeightsError, match="not known"):
        load_teacher(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_real_weights_tell_classes_apart(name: str, shared_data: Path):
    """Of ten classes of CIFAR-10, the nearest of 40 other images is of the own class far more often than by chance."""
    from molmv.weights import whereabouts

    if whereabouts(load_card(name)) == "to download":
        pytest.skip(f"the weights of {name} are not on this machine")
    with np.load(shared_data / "vision" / "cifar10_test10k.npz", allow_pickle=False) as found:
        pixels, labels = found["images"][:40], found["labels"][:40]
    X = embed(load_teacher(name), list(pixels), bad=())
    unit = X - X.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(40)).argmax(1)
    assert (labels[nearest] == labels).mean() > 0.3
    assert images.IMAGE.name == load_card(name).modality

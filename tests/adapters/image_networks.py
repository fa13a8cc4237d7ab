"""Small networks of images with weights of a seed, and the cards that name their files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

CARD = """\
name = "{name}"
modality = "image"
adapter = "image_encoder"
dim = {dim}
likelihood = "gaussian"
extra = "{extra}"
[options]
network = "{network}"
size = {size}
mean = [127, 127, 127]
std = [128, 128, 128]
{options}
[weights]
file = "{file}"
sha256 = "{sha256}"
[provenance]
licence = "MIT"
trained_on = ["noise"]
labels_seen = []
"""


def write_card(folder: Path, name: str, network: str, file: str, size: int = 32, **more: Any) -> Path:
    """A card for a file beside it."""
    sha256 = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    values = {"dim": 0, "extra": "image", "options": "", **more}
    path = folder / f"{name}.toml"
    path.write_text(CARD.format(name=name, network=network, file=file, size=size, sha256=sha256, **values))
    return path


def filled(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """Weights of those shapes, the same for the same seed, that keep a network's signal about as large as it is."""
    draw = np.random.default_rng(seed)
    state = {}
    for name in sorted(shapes):
        values = draw.standard_normal(shapes[name])
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1)
        elif name.endswith("running_var"):
            state[name] = torch.from_numpy(1 + 0.1 * np.abs(values)).float()
        elif len(shapes[name]) == 1:
            state[name] = torch.from_numpy((1.0 if name.endswith("weight") else 0.0) + 0.1 * values).float()
        else:
            state[name] = torch.from_numpy(values * np.sqrt(2 / np.prod(shapes[name][1:]))).float()
    return state


def efficientnet(folder: Path, seed: int = 0) -> Path:
    """A card of an EfficientNet-Lite0 with weights of a seed, as its port names them, classifier included."""
    from molmv.adapters.efficientnet_lite import SCALES, EfficientNetLite

    shapes = {k: tuple(v.shape) for k, v in EfficientNetLite(SCALES["efficientnet-lite0"]).state_dict().items()}
    shapes |= {"_fc.weight": (10, 1280), "_fc.bias": (10,)}
    torch.save(filled(shapes, seed), folder / "lite0.pth")
    return write_card(folder, "lite0", "efficientnet-lite0", "lite0.pth", dim=1280)


def transformer(folder: Path, kind: str, pooling: str) -> Path:
    """A card of a tiny vision transformer of that kind."""
    from safetensors.torch import save_file
    from transformers import Dinov2Config, Dinov2Model, SiglipConfig, SiglipModel

    torch.manual_seed(0)
    small = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    if kind == "dinov2":
        config: Any = Dinov2Config(**small)
        model: Any = Dinov2Model(config)
    else:
        vision = {**small, "intermediate_size": 32}
        text = {
            "hidden_size": 24,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 40,
        }
        config = SiglipConfig(text_config=text, vision_config=vision)
        model = SiglipModel(config)
    config_file = folder / "config.json"
    config_file.write_text(json.dumps(config.to_dict(), default=str))
    save_file({k: v.clone().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    sha256 = hashlib.sha256(config_file.read_bytes()).hexdigest()
    options = f'pooling = "{pooling}"\n[options.files]\n"config.json" = "{sha256}"'
    name = f"tiny-{kind}"
    return write_card(folder, name, "transformers", "model.safetensors", dim=24, extra="transformers", options=options)


def onnx_graph(folder: Path) -> Path:
    """A card of an ONNX file: one convolution, whose maps the adapter has to average."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((5, 3, 4, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixels", "weight"], ["maps"], strides=[4, 4])],
        "toy",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 5, 8, 8])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "toy.onnx")
    return write_card(folder, "toy-onnx", "onnx", "toy.onnx", dim=5, extra="onnx")

"""Pretrained networks that look at images: EfficientNet-Lite, vision transformers of ``transformers``, ONNX files.

An image's central square is resized to what the network was trained on and normalised; the card says how. The vector
of an image does not depend on the others in its batch.

Sources: Tan and Le (EfficientNet, arXiv:1905.11946), Oquab et al. (DINOv2, arXiv:2304.07193), Zhai et al. (SigLIP,
arXiv:2303.15343).
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from molmv import images
from molmv.adapters import efficientnet_lite
from molmv.adapters.transformers_network import config_class, open_weights, read_settings
from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError, WeightsError
from molmv.weights import beside, locate

SUB_BATCH = 8  # images; more do not fit in the cache of one core
LARGEST_SIDE = 1024
CONFIG = "config.json"
TRANSFORMERS, ONNX = "transformers", "onnx"
NETWORKS = (*efficientnet_lite.SCALES, TRANSFORMERS, ONNX)
DEFAULTS: Mapping[str, Any] = {
    "network": "",
    "size": 0,
    "crop": 1.0,
    "filter": "bicubic",
    "mean": [0.0, 0.0, 0.0],
    "std": [255.0, 255.0, 255.0],
    "pooling": "cls",
    "files": {},
}
CHOICES = {
    "network": NETWORKS,
    "filter": ("bilinear", "bicubic", "lanczos"),
    "pooling": ("cls", "mean", "pooler"),
}

Network = Callable[[Float[Tensor, "n 3 size size"]], Float[Tensor, "n dim"]]


class ImageEncoder:
    """Embeds images with a pretrained network.

    Options of the card:

    * ``network``: ``efficientnet-lite0`` … ``efficientnet-lite4``, ``transformers``, or ``onnx``: a graph whose only
      input is a batch ``(n, 3, size, size)`` and whose first output ``(n, dim)`` or ``(n, dim, …)``, then averaged;
    * ``size``: side of the square that the network reads; ``crop``: share of an image's shorter side that it is cut
      from (1 by default); ``filter``: ``bilinear``, ``bicubic`` (the default) or ``lanczos``;
    * ``mean``, ``std``: of red, green and blue, in units of 0 … 255: the network reads ``(value - mean) / std``;
    * ``pooling`` of transformers: ``cls`` (the default), ``mean`` of the patches, or ``pooler``, the model's own;
    * ``files`` of transformers: sha256 of its ``config.json``.

    Args:
        card: its options say which network, its weights are loaded.
        device: where to compute.

    Raises:
        CardError: an option is missing or has an impossible value, or transformers has no such model.
        MissingExtraError: Pillow, transformers or onnxruntime is not installed.
        WeightsError: the weights are missing or are not those of this network.
    """

    takes_parsed = True

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        images.require_pillow()
        self._options = options = _checked(card)
        _require(options["network"])  # before looking for weights that nothing could load
        self._device = pick_device(device)
        weights = locate(card)
        try:
            self._network = _load(card, weights, options, self._device)
        except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError, ValueError) as error:
            why = " ".join(str(error).split())[:400]
            raise WeightsError(
                f"Teacher {card.name!r}: {weights} does not hold the weights of {options['network']}: {why}"
            ) from error
        self._mean, self._std = (torch.tensor(options[k]).view(3, 1, 1).to(self._device) for k in ("mean", "std"))
        self.dim: int = self._embed([np.zeros((1, 1, 3), dtype=np.uint8)]).shape[1]

    def embed_batch(self, inputs: Sequence[UInt8[np.ndarray, "h w 3"]]) -> np.ndarray:
        """Embed decoded images.

        Returns:
            A float32 array ``(len(inputs), dim)``.
        """
        out = np.empty((len(inputs), self.dim), dtype=np.float32)
        for start in range(0, len(inputs), SUB_BATCH):
            out[start : start + SUB_BATCH] = self._embed(inputs[start : start + SUB_BATCH])
        return out

    @torch.inference_mode()
    def _embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        options = self._options
        pixels = torch.from_numpy(images.squares(batch, options["size"], options["crop"], options["filter"]))
        x = (pixels.to(self._device).permute(0, 3, 1, 2) - self._mean) / self._std
        out = self._network(x)
        return (out.flatten(2).mean(2) if out.ndim > 2 else out).float().cpu().numpy()


def _checked(card: TeacherCard) -> dict[str, Any]:
    def fail(key: str, expected: str) -> CardError:
        return CardError(f"Teacher {card.name!r}: option {key}: expected {expected}; found {options.get(key)!r}.")

    options = {**DEFAULTS, **card.options}
    for key in options:
        if key not in DEFAULTS:
            raise fail(key, f"no such option, but {', '.join(DEFAULTS)}")
    for key, choices in CHOICES.items():
        if options[key] not in choices:
            raise fail(key, " or ".join(choices))
    if type(options["size"]) is not int or not 0 < options["size"] <= LARGEST_SIDE:
        raise fail("size", f"a number of pixels up to {LARGEST_SIDE}")
    if not isinstance(options["crop"], float | int) or not 0 < options["crop"] <= 1:
        raise fail("crop", "a share between 0 and 1")
    for key in ("mean", "std"):
        numbers = options[key]
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(type(x) in (int, float) for x in numbers):
            raise fail(key, "three numbers, of red, green and blue")
        options[key] = [float(x) for x in numbers]
    if not all(x > 0 for x in options["std"]):
        raise fail("std", "three numbers above 0")
    if options["network"] == TRANSFORMERS and set(options["files"]) != {CONFIG}:
        raise fail("files", f"a table with the sha256 of {CONFIG}")
    return options


def _require(network: str) -> None:
    package, extra = {TRANSFORMERS: ("transformers", "transformers"), ONNX: ("onnxruntime", "onnx")}.get(
        network, ("", "")
    )
    if package and importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra)


def _load(card: TeacherCard, weights: Path, options: Mapping[str, Any], device: torch.device) -> Network:
    name = options["network"]
    if name == ONNX:
        return _onnx(weights)
    if name == TRANSFORMERS:
        config = beside(card, weights, CONFIG, options["files"][CONFIG])
        return _transformer(card, config, open_weights(weights), options["pooling"], device)
    network = efficientnet_lite.EfficientNetLite(efficientnet_lite.SCALES[name])
    state = {key: value for key, value in open_weights(weights).items() if not key.startswith("_fc.")}  # the classifier
    network.load_state_dict(state)
    found: Network = efficientnet_lite.folded(network).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return found


def _transformer(
    card: TeacherCard, config: Path, state: Mapping[str, Tensor], pooling: str, device: torch.device
) -> Network:
    """A vision transformer; of a model of images and texts the half that looks at images."""
    from transformers import AutoModel

    table = read_settings(card, config)
    settings = config_class(card, table.get("model_type", "")).from_dict(table)
    model = AutoModel.from_config(getattr(settings, "vision_config", settings))
    prefix = model.base_model_prefix + "."
    wanted = model.state_dict()
    # A checkpoint with a head has the network below a prefix; what is beside it is the head.
    found = {key if key in wanted else key.removeprefix(prefix): value for key, value in state.items()}
    model.load_state_dict({key: value for key, value in found.items() if key in wanted})
    model.to(device).eval()

    def embed(x: Tensor) -> Tensor:
        out = model(pixel_values=x)
        if pooling == "pooler":
            pooled: Tensor = out.pooler_output
            return pooled
        tokens: Tensor = out.last_hidden_state
        return tokens[:, 0] if pooling == "cls" else tokens[:, 1:].mean(1)

    return embed


def _onnx(weights: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(weights.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])

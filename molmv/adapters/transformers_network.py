"""Networks of the package ``transformers``, made from a config and filled from verified weights."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molmv.cards import TeacherCard
from molmv.documents import read_json
from molmv.errors import CardError, WeightsError

SUB_BATCH = 512  # tokens, padding included; more do not fit in the cache of one core
# Weights that no vector here depends on: the pooler of BERT, and the buffer that older versions saved.
UNUSED = re.compile(r"pooler\.|embeddings\.position_ids$")
LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def sub_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of texts of about one length, at most :data:`SUB_BATCH` tokens when padded; without the empty ones."""
    rows: list[int] = []
    for i in sorted((i for i, length in enumerate(lengths) if length), key=lambda i: lengths[i]):
        if rows and (len(rows) + 1) * lengths[i] > SUB_BATCH:
            yield rows
            rows = []
        rows.append(i)
    if rows:
        yield rows


def load_network(card: TeacherCard, weights: Path, config_file: Path, model_type: str = "", layers: int = 0) -> Any:
    """The network of a ``config.json``, without a head, in evaluation mode.

    Args:
        card: whose it is.
        weights: a safetensors file, or one that ``torch.load(weights_only=True)`` reads.
        config_file: its config.
        model_type: of transformers, where the config does not say it.
        layers: the layers above this one are left out; 0 = all.

    Raises:
        CardError: transformers has no such model, or it has fewer layers.
        WeightsError: the weights are not those of this network.
    """
    from transformers import AutoModel

    config = read_settings(card, config_file)
    kind = model_type or config.get("model_type", "")
    settings = config_class(card, kind).from_dict(config)
    if layers > settings.num_hidden_layers:
        raise CardError(f"Teacher {card.name!r}: option layer: the network has only {settings.num_hidden_layers}.")
    settings.num_hidden_layers = layers = layers or settings.num_hidden_layers
    try:
        model = AutoModel.from_config(settings, add_pooling_layer=False)
    except TypeError:  # a family that never has one
        model = AutoModel.from_config(settings)
    prefix = model.base_model_prefix + "."
    try:
        state = open_weights(weights)
        # A checkpoint with a head has the network below a prefix; what is beside it is the head.
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)} or state
        state = {key: value for key, value in state.items() if not UNUSED.match(key) and not _above(key, layers)}
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        why = " ".join(str(error).split())[:400]
        raise WeightsError(f"Teacher {card.name!r}: {weights} does not hold the weights of a {kind}: {why}") from error
    return model.eval()


def read_settings(card: TeacherCard, path: Path) -> dict[str, Any]:
    """A ``config.json`` that comes with weights.

    Raises:
        WeightsError: it is damaged; names it.
    """
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"Teacher {card.name!r}: {path} is damaged: {error}") from error


def config_class(card: TeacherCard, kind: str) -> Any:
    """The class of configs of a model type.

    Raises:
        CardError: transformers has no such model.
    """
    from transformers import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        raise CardError(
            f"Teacher {card.name!r}: transformers has no model of type {kind!r}, and code that comes with weights "
            "(trust_remote_code) is never run.",
            "Embed with the authors' code, and bring the vectors as a table.",
        )
    return CONFIG_MAPPING[kind]


def open_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors or what torch saves; nothing else is made of a file.

    Raises:
        ValueError: it holds anything else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except (SafetensorError, pickle.UnpicklingError, EOFError, KeyError, RuntimeError, OSError) as error:
        raise ValueError(f"it cannot be opened: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise ValueError("it does not hold tensors by name")
    return found


def _load_torch(path: Path) -> Any:
    return torch.load(path, weights_only=True, map_location="cpu")


def padded(batch: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids ``(rows, longest)`` of texts of several lengths, and True where a token stands."""
    lengths = torch.tensor([len(ids) for ids in batch])
    inside = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(inside.shape, pad)
    ids[inside] = torch.tensor([i for row in batch for i in row])
    return ids, inside


def mean_over(h: Tensor, inside: Tensor) -> Tensor:
    """Mean of the tokens that are ``inside``, ``(rows, width)``."""
    weight = (inside / inside.sum(1, keepdim=True)).to(h)
    return torch.einsum("bth,bt->bh", h, weight)


def _above(key: str, layers: int) -> bool:
    """Whether weights belong to a layer above the last one that is wanted."""
    found = LAYER.search(key)
    return found is not None and int(found[1]) >= layers

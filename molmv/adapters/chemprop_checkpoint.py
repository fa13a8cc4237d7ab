"""Opens a checkpoint of chemprop 2 without unpickling it, and builds the network that it holds.

A checkpoint keeps its settings as objects. ``torch.load(weights_only=True)`` makes those of a short vocabulary, the
parts of a network that has one vector for a molecule. Losses, metrics and scalers become empty records, since no
embedding needs them. A file that names anything else is refused.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from molmv.errors import WeightsError

# (width of an atom's features, of a bond's) -> chemprop's name of the featuriser. No two are alike, so that the weights
# tell which one they were trained with.
FEATURES = {(133, 14): "V1", (72, 14): "V2", (44, 14): "ORGANIC", (52, 2): "RIGR"}
_RECORDS = re.compile(r"(chemprop\.nn\.(metrics|transforms)|torchmetrics)\..*|torch\.nn\.modules\.linear\.Identity")
_SETTINGS = re.compile(r"(pytorch_)?lightning\..*\.AttributeDict")
_NOT_LOADED = ("metrics.", "predictor.criterion.", "predictor.output_transform.", "message_passing.graph_transform.")


def read_network(where: str, path: Path) -> Network:
    """The network of a checkpoint, of a model file, or of a file with a bare message-passing block.

    Args:
        where: which teacher and file, for messages.
        path: a file that :func:`molmv.weights.locate` has verified.

    Raises:
        WeightsError: it is none of these, holds other objects, needs inputs that a SMILES does not give, or its
            settings and weights do not fit.
    """
    try:
        content = _read(where, path)
        return _build(where, content["hyper_parameters"], content["state_dict"])
    except WeightsError:
        raise
    except (
        RuntimeError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise WeightsError(f"{where} holds no network of chemprop: {why}") from error


class Network(nn.Module):
    """The layers of chemprop's ``MPNN``, under its names; ``ffn`` is the dense layers of its predictor, if it has one.

    Attributes:
        features: which featuriser it was trained with, see :data:`FEATURES`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        block = {**settings["message_passing"], "graph_transform": None, "V_d_transform": None}
        self.features = FEATURES[block["d_v"], block["d_e"]]
        self.message_passing = _make(block)
        self.agg = _make(settings["agg"])
        self.bn = nn.BatchNorm1d(self.message_passing.output_dim) if settings.get("batch_norm") else nn.Identity()
        self.ffn = nn.Sequential()
        if "predictor" in settings:
            unused = dict.fromkeys(("criterion", "output_transform", "task_weights"))
            self.ffn = _make({**settings["predictor"], **unused}).ffn


class _Record:
    """Stands for an object of a checkpoint that is not made."""

    def __new__(cls, *_: Any) -> _Record:
        return super().__new__(cls)


def _vocabulary() -> dict[str, Any]:
    """The classes that a checkpoint may make, by their full names: parts of a network with one vector a molecule."""
    from chemprop.nn import (
        AggregationRegistry,
        AtomMessagePassing,
        AttentiveAggregation,
        BondMessagePassing,
        PredictorRegistry,
    )
    from chemprop.nn.utils import Activation

    parts = {AtomMessagePassing, BondMessagePassing, Activation, AttentiveAggregation}
    parts |= {*AggregationRegistry.values(), *PredictorRegistry.values()}
    parts |= {nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Tanh, nn.ELU, nn.SELU}
    known = {f"{part.__module__}.{part.__qualname__}": part for part in parts}
    return known | {"builtins.getattr": _activation}


def _activation(kind: Any, name: Any) -> Any:
    """One of chemprop's activations by name: how Python 3.11.0 to 3.11.3 pickle a member of an enum. Nothing else."""
    from chemprop.nn.utils import Activation

    if kind is not Activation or name not in Activation.__members__:
        raise pickle.UnpicklingError(f"an attribute {name!r} is asked of {kind!r}")
    return Activation[name]


def _read(where: str, path: Path) -> Mapping[str, Any]:
    """What a checkpoint holds; nothing but the vocabulary and records is made."""
    known, other = _vocabulary(), []
    for found in torch.serialization.get_unsafe_globals_in_checkpoint(path):
        if _RECORDS.fullmatch(found):
            known[found] = _Record
        elif _SETTINGS.fullmatch(found):
            known[found] = OrderedDict  # weights_only fills no other class of settings
        elif found not in known:
            other.append(found)
    if other:
        raise WeightsError(
            f"{where} is not opened, because it holds {', '.join(sorted(other))}.",
            "Expected a chemprop 2.1+ network of one molecule; `chemprop convert` makes one of an older file, "
            "which it unpickles: do so only if you trust it.",
        )
    with torch.serialization.safe_globals([(part, name) for name, part in known.items()]):
        return torch.load(path, weights_only=True, map_location="cpu")


def _build(where: str, settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Network:
    from chemprop.conf import DEFAULT_ATOM_FDIM, DEFAULT_BOND_FDIM, DEFAULT_HIDDEN_DIM
    from chemprop.nn import BondMessagePassing, MeanAggregation

    if "message_passing" not in settings:  # a bare block
        widths = {"d_v": DEFAULT_ATOM_FDIM, "d_e": DEFAULT_BOND_FDIM, "d_h": DEFAULT_HIDDEN_DIM}
        block = {"cls": BondMessagePassing, **widths, **settings}
        settings = {"message_passing": block, "agg": {"cls": MeanAggregation}}
        weights = {f"message_passing.{key}": value for key, value in weights.items()}
    _refuse_extra_inputs(where, settings)
    network = Network(settings)
    kept = {key.removeprefix("predictor."): value for key, value in weights.items() if not key.startswith(_NOT_LOADED)}
    network.load_state_dict(kept)
    return network


def _refuse_extra_inputs(where: str, settings: Mapping[str, Any]) -> None:
    block = settings["message_passing"]
    widths, descriptors = (block["d_v"], block["d_e"]), block.get("d_vd") or 0
    needs = []
    if widths not in FEATURES:
        expected = ", ".join(f"{v} and {e}" for v, e in FEATURES)
        needs.append(f"{widths[0]} features an atom and {widths[1]} a bond, not {expected}")
    if descriptors:
        needs.append(f"{descriptors} descriptors of each atom")
    if "predictor" in settings and (more := settings["predictor"]["input_dim"] - block["d_h"] - descriptors):
        needs.append(f"{more} descriptors of each molecule")
    if needs:
        raise WeightsError(f"{where} was trained with inputs that are not in a SMILES: {'; '.join(needs)}.")


def _make(settings: Mapping[str, Any]) -> Any:
    """An object of the class that its settings name, which must be of the vocabulary."""
    if settings["cls"] not in _vocabulary().values():
        raise ValueError(f"{settings['cls']!r} is no part of a network")
    return settings["cls"](**{key: value for key, value in settings.items() if key != "cls"})

"""Message-passing networks of chemprop 2: any checkpoint, one of several for an ensemble, or a bare block as CheMeleon.

A network passes messages along the directed bonds (D-MPNN, arXiv:1904.01561) or the atoms, sums or averages its atoms,
and normalises: that is the fingerprint, ``encoding(i=0)`` in chemprop. Its predictor, a few dense layers, follows.

Checkpoints are pickles. They are opened with ``torch.load(weights_only=True)``: only the classes of :func:`_vocabulary`
are made, losses, metrics and scalers are read as plain records, and a file that names anything else is refused.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError, WeightsError
from molmv.weights import locate

SUB_BATCH = 32
# (width of an atom's features, of a bond's) -> chemprop's name of the featuriser. No two are alike, so that the weights
# tell which one they were trained with.
FEATURES = {(133, 14): "V1", (72, 14): "V2", (44, 14): "ORGANIC", (52, 2): "RIGR"}
# Dative and other bonds in a SMILES: aromatic for cuik-molmaker, of no type for chemprop's own featuriser.
OTHER_BONDS = re.compile(r"->|<-|[~$]")
# What a checkpoint holds besides settings and weights and nothing here asks for: losses, metrics, scalers.
_RECORDS = re.compile(r"(chemprop\.nn\.(metrics|transforms)|torchmetrics)\..*|torch\.nn\.modules\.linear\.Identity")
_NOT_LOADED = ("metrics.", "predictor.criterion.", "predictor.output_transform.", "message_passing.graph_transform.")
_SETTINGS = re.compile(r"(pytorch_)?lightning\..*\.AttributeDict")


class ChempropMpnn:
    """Embeds SMILES with one network, or with several whose vectors it joins end to end.

    Options of the card: ``layer``, chemprop's ``encoding(i=layer)``: 0, the fingerprint (default), or so many layers of
    the predictor, -1 for all but the last; ``add_h`` (false), whether the networks saw explicit hydrogens, which a
    checkpoint does not tell.

    Args:
        card: its options, and its weights: a file for each network.
        device: where to compute.

    Raises:
        CardError: an option has an impossible value.
        MissingExtraError: chemprop is not installed.
        WeightsError: the weights are missing, are not the card's, are of no chemprop network, or of one that needs more
            than a molecule's structure.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import chemprop  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(error.name or "chemprop", "chemprop") from error
        options = {"layer": 0, "add_h": False, **card.options}
        for key, kind in (("layer", int), ("add_h", bool)):
            if type(value := options.pop(key)) is not kind:
                raise CardError(f"Teacher {card.name!r}: option {key}: expected {kind.__name__}, found {value!r}.")
        if options:
            raise CardError(f"Teacher {card.name!r}: expected options layer and add_h, found {', '.join(options)}.")
        self._layer, self._add_h = card.options.get("layer", 0), card.options.get("add_h", False)
        self._device = pick_device(device)
        self._networks = []
        for weights in card.weights.each:
            path = locate(replace(card, weights=weights))
            network = _build(f"Teacher {card.name!r}: {path}", _read(card.name, path))
            if not -network.layers <= self._layer < max(network.layers, 1):
                limit = f"expected {-network.layers} to {network.layers - 1}" if network.layers else "has no predictor"
                raise CardError(f"Teacher {card.name!r}: option layer: {limit}, found {self._layer}.")
            self._networks.append(network.to(self._device).eval())
        self.dim = self.embed_batch(["C"]).shape[1]

    @torch.inference_mode()
    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Embed molecules.

        Args:
            smiles: RDKit's chirality tags, which the networks see, depend on the order of the atoms.

        Returns:
            A float32 array ``(len(smiles), dim)``.

        Raises:
            ValueError: a text is no molecule.
        """
        pieces = [smiles[start : start + SUB_BATCH] for start in range(0, len(smiles), SUB_BATCH)]
        return np.concatenate([self._embed(piece) for piece in pieces])

    def _embed(self, smiles: Sequence[str]) -> np.ndarray:
        graphs = {network.features: self._graphs(smiles, network.features) for network in self._networks}
        parts = [network(graphs[network.features], self._layer) for network in self._networks]
        return torch.cat(parts, dim=1).cpu().numpy()

    def _graphs(self, smiles: Sequence[str], features: str) -> Any:
        """One graph of all molecules, as chemprop's own featuriser makes it."""
        from chemprop.featurizers import CuikmolmakerMolGraphFeaturizer

        if any(map(OTHER_BONDS.search, smiles)):
            graph = _by_rdkit(smiles, features, self._add_h)
        else:
            graph = CuikmolmakerMolGraphFeaturizer(features, add_h=self._add_h)(list(smiles))
            if 0 in torch.bincount(graph.batch, minlength=len(smiles)):
                raise ValueError("no molecule")
        graph.to(self._device)
        return graph


def _by_rdkit(smiles: Sequence[str], features: str, add_h: bool) -> Any:
    from chemprop.data import BatchMolGraph
    from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer, get_multi_hot_atom_featurizer
    from chemprop.featurizers.bond import MultiHotBondFeaturizer, RIGRBondFeaturizer
    from chemprop.utils import make_mol

    bonds = RIGRBondFeaturizer() if features == "RIGR" else MultiHotBondFeaturizer()
    featurise = SimpleMoleculeMolGraphFeaturizer(get_multi_hot_atom_featurizer(features), bonds)
    return BatchMolGraph([featurise(make_mol(text, add_h=add_h)) for text in smiles])


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
    return {f"{part.__module__}.{part.__qualname__}": part for part in parts}


def _read(name: str, path: Path) -> Mapping[str, Any]:
    """The settings and tensors of a checkpoint; nothing but the vocabulary is made.

    Raises:
        WeightsError: it names something else, or is no checkpoint.
    """
    known, other = _vocabulary(), []
    try:
        for found in torch.serialization.get_unsafe_globals_in_checkpoint(path):
            if _RECORDS.fullmatch(found):
                known[found] = _Record
            elif _SETTINGS.fullmatch(found):
                known[found] = OrderedDict  # the only class of settings that weights_only fills
            elif found not in known:
                other.append(found)
        if other:
            raise WeightsError(
                f"Teacher {name!r}: {path} is not opened, because it holds {', '.join(sorted(other))}.",
                "Expected a chemprop 2.1+ network of one molecule; "
                "`chemprop convert` makes one of an older file, which it unpickles: do so only if you trust it.",
            )
        with torch.serialization.safe_globals([(part, full) for full, part in known.items()]):
            content = torch.load(path, weights_only=True, map_location="cpu")
        return {key: content[key] for key in ("hyper_parameters", "state_dict")}
    except WeightsError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise WeightsError(f"Teacher {name!r}: {path} is no checkpoint of chemprop: {why}") from error


def _build(where: str, content: Mapping[str, Any]) -> _Network:
    """The network of a checkpoint.

    Args:
        where: which teacher and file, for messages.
        content: ``hyper_parameters`` and ``state_dict``, of a whole network or of a bare message-passing block.

    Raises:
        WeightsError: it needs inputs that a SMILES does not give, or settings and weights do not fit.
    """
    from chemprop.conf import DEFAULT_ATOM_FDIM, DEFAULT_BOND_FDIM, DEFAULT_HIDDEN_DIM
    from chemprop.nn import BondMessagePassing, MeanAggregation

    settings, weights = content["hyper_parameters"], content["state_dict"]
    try:
        if "message_passing" not in settings:
            widths = {"d_v": DEFAULT_ATOM_FDIM, "d_e": DEFAULT_BOND_FDIM, "d_h": DEFAULT_HIDDEN_DIM}
            block = {"cls": BondMessagePassing, **widths, **settings}
            settings = {"message_passing": block, "agg": {"cls": MeanAggregation}}
            weights = {f"message_passing.{key}": value for key, value in weights.items()}
        _refuse_extra_inputs(where, settings)
        network = _Network(settings)
        network.load_state_dict({key: value for key, value in weights.items() if not key.startswith(_NOT_LOADED)})
    except WeightsError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise WeightsError(f"{where}: its settings and weights make no chemprop network: {why}") from error
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


class _Network(nn.Module):
    """Names of its parameters are those of chemprop's ``MPNN``; ``predictor`` without what follows its dense layers.

    Attributes:
        features: which featuriser it was trained with, see :data:`FEATURES`.
        layers: dense layers of its predictor; 0 without one.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        block = {**settings["message_passing"], "graph_transform": None, "V_d_transform": None}
        self.features = FEATURES[block["d_v"], block["d_e"]]
        self.message_passing = _made(block)
        self.agg = _made(settings["agg"])
        self.bn = nn.BatchNorm1d(self.message_passing.output_dim) if settings.get("batch_norm") else nn.Identity()
        self.predictor = nn.Module()
        self.layers = 0
        if "predictor" in settings:
            made = _made({**settings["predictor"], "criterion": None, "output_transform": None, "task_weights": None})
            self.predictor.ffn = made.ffn
            self.layers = len(made.ffn)

    def forward(self, graph: Any, layer: int) -> Tensor:
        """Vectors ``(molecules, width)``."""
        h = self.bn(self.agg(pass_messages(self.message_passing, graph), graph.batch))
        return self.predictor.ffn[:layer](h) if layer else h


def _made(settings: Mapping[str, Any]) -> Any:
    return settings["cls"](**{key: value for key, value in settings.items() if key != "cls"})


def pass_messages(block: Any, graph: Any) -> Tensor:
    """What chemprop's block computes, with sums over the bonds that add whole rows instead of single numbers.

    Args:
        block: a ``BondMessagePassing`` or ``AtomMessagePassing`` of chemprop.
        graph: a chemprop batch of molecules.

    Returns:
        Vectors ``(atoms, width)``.
    """
    from chemprop.nn import AtomMessagePassing

    atoms, bonds, (source, target), reverse = graph.V, graph.E, graph.edge_index, graph.rev_edge_index
    along_atoms = isinstance(block, AtomMessagePassing)

    def gather(messages: Tensor) -> Tensor:
        return messages.new_zeros(len(atoms), messages.shape[1]).index_add_(0, target, messages)

    first = block.W_i(atoms[source] if along_atoms else torch.cat((atoms[source], bonds), dim=1))
    h = block.tau(first)
    for _ in range(1, block.depth):
        if block.undirected:
            h = (h + h[reverse]) / 2
        if along_atoms:
            messages = gather(torch.cat((h, bonds), dim=1))[source]
        else:  # all that reach the bond's first atom, but not what comes back along the bond itself
            messages = gather(h)[source].sub_(h[reverse])
        h = block.tau(block.W_h(messages).add_(first))
    return block.tau(block.W_o(torch.cat((atoms, gather(h)), dim=1)))

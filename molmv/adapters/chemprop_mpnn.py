"""Message-passing networks of chemprop 2: any checkpoint, one of several for an ensemble, or a bare block as CheMeleon.

A network passes messages along the directed bonds (D-MPNN, arXiv:1904.01561) or the atoms, sums or averages its atoms,
and normalises: that is the fingerprint, ``encoding(i=0)`` in chemprop. Its predictor, a few dense layers, follows.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molmv.adapters.chemprop_checkpoint import Network, read_network
from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError
from molmv.weights import locate

SUB_BATCH = 32
# Dative and other bonds in a SMILES: aromatic for cuik-molmaker, of no type for chemprop's own featuriser.
OTHER_BONDS = re.compile(r"->|<-|[~$]")


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
            network = read_network(f"Teacher {card.name!r}: {path}", path)
            layers = len(network.ffn)
            if not -layers <= self._layer < max(layers, 1):
                limit = f"expected {-layers} to {layers - 1}" if layers else "it has no predictor"
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
        parts = [encode(network, graphs[network.features], self._layer) for network in self._networks]
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


def encode(network: Network, graph: Any, layer: int) -> Tensor:
    """Vectors ``(molecules, width)``, chemprop's ``MPNN.encoding(graph, i=layer)``."""
    h = network.bn(network.agg(pass_messages(network.message_passing, graph), graph.batch))
    return network.ffn[:layer](h) if layer else h


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

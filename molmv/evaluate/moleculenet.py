"""Data sets of MoleculeNet, read by the loaders of DeepChem: ``moleculenet:delaney``, ``moleculenet:tox21:NR-AR``, ….

DeepChem looks for their files in the folder ``moleculenet/`` of the one that ``MOLMV_MIRROR`` names, or of the cache,
and downloads one that is not there. It knows no hashes: where that matters, put the files there yourself.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from molmv.adapters.deepchem_model import import_deepchem, quiet
from molmv.atomic import writing_to
from molmv.errors import InputError, UnknownNameError, did_you_mean
from molmv.weights import cache_folder

PREFIX = "moleculenet:"
# Those whose inputs are SMILES.
NAMES = tuple(
    "bace_classification bace_regression bbbp clearance clintox delaney freesolv hiv hppb lipo muv nci pcba ppb sider "
    "thermosol tox21 toxcast".split()
)


def load(name: str) -> tuple[list[str], Float64[np.ndarray, "n labels"], tuple[str, ...]]:
    """SMILES, labels (NaN where there is none) and their names, of all molecules, in their own units.

    Args:
        name: one of :data:`NAMES`, maybe with a colon and some of its labels, with commas between.

    Raises:
        UnknownNameError: no such data set, or no such label.
        InputError: DeepChem cannot load it, for example since there is no network.
        MissingExtraError: DeepChem is not installed.
    """
    name, _, wanted = name.partition(":")
    if name not in NAMES:
        hint = did_you_mean(name, NAMES, f"There are: {', '.join(NAMES)}.")
        raise UnknownNameError(f"MoleculeNet has no data set {name!r} of SMILES.", hint)
    deepchem = import_deepchem()
    folder = _folder()
    try:
        with quiet():
            labels, (dataset,), _ = getattr(deepchem.molnet, f"load_{name}")(
                deepchem.feat.DummyFeaturizer(), None, [], reload=False, data_dir=str(folder)
            )
            smiles, Y, weights = dataset.ids, dataset.y, dataset.w
    except Exception as error:  # DeepChem's loaders fail in as many ways as there are files
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"DeepChem cannot load {name}: {type(error).__name__}: {why}", f"Put its file into {folder}."
        ) from error
    Y = np.where(np.broadcast_to(weights, Y.shape) > 0, Y, np.nan).astype(np.float64)
    columns = _columns(name, list(labels), wanted)
    return [str(text) for text in smiles], Y[:, columns], tuple(labels[i] for i in columns)


def _folder() -> Path:
    mirror = os.environ.get("MOLMV_MIRROR")
    if mirror and (found := Path(mirror) / "moleculenet").is_dir():
        return found
    folder = cache_folder() / "data" / "moleculenet"
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _columns(name: str, labels: list[str], wanted: str) -> list[int]:
    if not wanted:
        return list(range(len(labels)))
    unknown = [label for label in wanted.split(",") if label not in labels]
    if unknown:
        raise UnknownNameError(f"{name} has no label {unknown[0]!r}.", f"There are: {', '.join(labels)}.")
    return [labels.index(label) for label in wanted.split(",")]

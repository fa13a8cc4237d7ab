"""DeepChem (https://deepchem.io): any featurizer that gives a vector, and what a layer of a trained torch model says.

DeepChem opens its own checkpoints with a plain ``torch.load``; here they are opened as weights and nothing else.
"""

from __future__ import annotations

import difflib
import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from molmv import molecules
from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError, WeightsError
from molmv.weights import locate

OPTIONS = ("featurizer", "arguments", "model", "model_arguments", "layer")
REFUSED = {
    "Mol2VecFingerprint": "it downloads its weights without a hash and unpickles them",
    "PubChemFingerprint": "it asks a server for every molecule",
}
_REFUSED_ARGUMENTS = ("model_dir", "log_file", "tensorboard", "wandb")


class DeepchemModel:
    """A featurizer of DeepChem, or a layer of one of its torch models.

    Options of the card: ``featurizer`` (a class of ``deepchem.feat``), ``arguments`` (a table, of that class); for a
    model ``model`` (a class of ``deepchem.models`` on torch), ``model_arguments`` (those it was made with), ``layer``
    (the module whose output is the vector, by its dotted name; by default what ``predict_embedding`` gives). The
    card's ``[weights]`` are then the checkpoint of the model's folder, ``checkpoint1.pt``.

    Raises:
        MissingExtraError: DeepChem is not installed.
        CardError: no such class or layer, arguments that it refuses, or something else than one vector a molecule.
        WeightsError: the checkpoint is missing, or is not of this model.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        deepchem = import_deepchem()
        options = dict(card.options)
        if unknown := options.keys() - set(OPTIONS):
            raise _wrong(card, f"no option {', '.join(sorted(unknown))}; known: {', '.join(OPTIONS)}")
        self._card = card
        with quiet():
            name, arguments = str(options.get("featurizer", "")), options.get("arguments", {})
            self._featurizer = _made(card, [deepchem.feat], deepchem.feat.Featurizer, name, arguments)
            self._model = None
            if "model" in options:
                self._model = _restored(card, deepchem, options, device)
                self._dataset, self._layer = deepchem.data.NumpyDataset, options.get("layer")
                self._outputs: list[Any] = []
                if self._layer is not None:
                    _module(card, self._model.model, self._layer).register_forward_hook(
                        lambda module, inputs, output: self._outputs.append(output)
                    )
        self.dim = 0
        self.dim = self.embed_batch(["CCO"]).shape[1]

    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, dim)``; NaN for a molecule that DeepChem fails on, for which it returns an empty array."""
        with quiet():
            features = self._featurizer.featurize(list(smiles))
            good = [i for i, x in enumerate(features) if not (isinstance(x, np.ndarray) and x.size == 0)]
            vectors = self._vectors(features, good) if good else np.zeros((0, self.dim), np.float32)
        if len(good) == len(smiles):
            return vectors
        out = np.full((len(smiles), self.dim), np.nan, dtype=np.float32)
        out[good] = vectors
        return out

    def _vectors(self, features: np.ndarray, good: Sequence[int]) -> np.ndarray:
        values = features if len(good) == len(features) else features[good]
        if values.dtype == object and (isinstance(values[0], np.ndarray) or hasattr(values[0], "GetNumBits")):
            values = np.stack([np.asarray(x) for x in values])  # some failed, or bit vectors of RDKit
        if self._model is not None:
            values = self._embedded(values)
        elif values.dtype == object:
            what = f"{self._card.options['featurizer']} gives a {type(values[0]).__name__}"
            raise _wrong(self._card, f"{what}, not a vector; only a model (option model) reads it")
        if values.ndim > 2 and values.size == len(values) * max(values.shape[1:]):
            values = values.reshape(len(values), -1)
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            found = f"an array of shape {values.shape[1:]} of {values.dtype}"
            raise _wrong(self._card, f"expected one vector a molecule, found {found}")
        with np.errstate(over="ignore"):  # infinite: refused
            return values.astype(np.float32)

    def _embedded(self, features: np.ndarray) -> np.ndarray:
        """What the layer says of each molecule, batch by batch of the model."""
        import torch

        assert self._model is not None  # noqa: S101 (for the type checker)
        dataset = self._dataset(features)
        with torch.no_grad():
            if self._layer is None:
                return np.asarray(self._model.predict_embedding(dataset))
            self._outputs.clear()
            self._model.predict(dataset)
        if not all(isinstance(output, torch.Tensor) for output in self._outputs) or not self._outputs:
            raise _wrong(self._card, f"layer {self._layer} does not give one tensor")
        found = torch.cat([output.reshape(len(output), -1) for output in self._outputs]).float().cpu().numpy()
        self._outputs.clear()
        if len(found) != len(features):
            why = f"layer {self._layer} gives {len(found)} vectors for {len(features)} molecules"
            raise _wrong(self._card, f"{why}; name one that pools the atoms and runs once")
        return found


def import_deepchem() -> Any:
    """The package, imported without its remarks.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("DGLBACKEND", "pytorch")  # else DGL writes a file into the user's home and says so
    try:
        with quiet():
            import deepchem
    except ImportError as error:
        raise MissingExtraError(error.name or "deepchem", "deepchem") from error
    return deepchem


@contextmanager
def quiet() -> Iterator[None]:
    """DeepChem logs each package that it does without and each molecule that fails; here a refused row has a reason."""
    logger = logging.getLogger("deepchem")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with molecules.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _wrong(card: TeacherCard, problem: str) -> CardError:
    return CardError(f"Teacher {card.name!r}: {problem}.")


def _made(card: TeacherCard, places: Sequence[Any], base: type, name: str, arguments: Mapping[str, Any]) -> Any:
    """An object of the class of that name; only of those that derive from ``base``."""
    if name in REFUSED:
        raise _wrong(card, f"{name} is not offered: {REFUSED[name]}")
    found = {
        n: kind for p in places for n, kind in vars(p).items() if isinstance(kind, type) and issubclass(kind, base)
    }
    if name not in found:
        near = difflib.get_close_matches(name, found, n=3, cutoff=0.4)
        hint = f"Did you mean {', '.join(near)}?" if near else ""
        raise CardError(f"Teacher {card.name!r}: DeepChem has no {base.__name__} called {name!r}.", hint)
    try:
        return found[name](**arguments)
    except (TypeError, ValueError) as error:
        raise _wrong(card, f"{name} refuses its arguments: {error}") from error


def _restored(card: TeacherCard, deepchem: Any, options: Mapping[str, Any], device: str) -> Any:
    """The model, with the weights of its checkpoint, and all of them."""
    import torch

    path: Path = locate(card)
    places, base = [deepchem.models.torch_models, deepchem.models], deepchem.models.TorchModel
    given = options.get("model_arguments", {})
    if refused := [name for name in given if name.startswith(_REFUSED_ARGUMENTS)]:
        raise _wrong(card, f"model_arguments may not have {', '.join(refused)}: it writes files or sends data")
    arguments = {"device": pick_device(device), **given}
    model = _made(card, places, base, str(options["model"]), arguments)
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.model.load_state_dict(state["model_state_dict"], strict=True)
    except (
        RuntimeError,
        OSError,
        ValueError,
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        why = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"Teacher {card.name!r}: {path} is not a checkpoint of this {options['model']}: {why}"
        ) from error
    if options.get("layer") is None and "embedding" not in (model.output_types or ()):
        raise _wrong(card, f"{options['model']} has no embedding of its own; choose a layer: {_modules(model.model)}")
    return model


def _module(card: TeacherCard, network: Any, layer: str) -> Any:
    try:
        return network.get_submodule(layer)
    except AttributeError as error:
        raise _wrong(card, f"no layer {layer!r}; there are {_modules(network)}") from error


def _modules(network: Any, limit: int = 40) -> str:
    names = [name for name, _ in network.named_modules() if name]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")

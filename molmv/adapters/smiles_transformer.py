"""Transformers that read SMILES (or SELFIES): BERT, RoBERTa and others of the package ``transformers``.

The vector of a molecule is that of its first special token (``cls``), or the mean over its tokens (``mean``; with the
special ones around them ``mean_all``), after some layer. A text longer than the model can read is cut at its end and
its row marked ``truncated``. A molecule with a token that is not in the vocabulary has no vector: its embedding would
be the same whatever that token says.

Sources: Schwaller et al. (rxnfp, arXiv:2012.06051), Ahmad et al. (ChemBERTa-2, arXiv:2209.01712), Yüksel et al.
(SELFormer, arXiv:2304.04662).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molmv.adapters.smiles_tokens import HubTokenizer, SmilesRegex, Tokenizer
from molmv.adapters.transformers_network import config_class, load_network, mean_over, padded, sub_batches
from molmv.cards import TeacherCard
from molmv.device import pick_device
from molmv.errors import CardError, MissingExtraError
from molmv.weights import beside, locate

DEFAULTS = {
    "model_type": "",
    "tokenizer": "hub",
    "notation": "smiles",
    "layer": 0,
    "pooling": "mean",
    "too_long": "truncate",
}
CHOICES = {
    "tokenizer": ("hub", "smiles-regex"),
    "notation": ("smiles", "selfies"),
    "pooling": ("cls", "mean", "mean_all"),
    "too_long": ("truncate", "refuse"),
}


class SmilesTransformer:
    """Embeds SMILES with one of the transformers.

    Options of the card:

    * ``files``: sha256 of each text that comes with the weights and is read: ``config.json``, the vocabulary;
    * ``max_tokens``: how many the model can read, special ones included;
    * ``too_long``: ``truncate`` (the default) or ``refuse``;
    * ``pooling``: ``cls``, ``mean`` (the default), ``mean_all``;
    * ``layer``: whose vectors are pooled, counted from 1; the last by default, layers above are not computed;
    * ``tokenizer``: ``hub`` (the default: files for ``AutoTokenizer``), or ``smiles-regex``, with a ``vocab.txt``;
    * ``notation``: ``smiles`` (the default) or ``selfies``;
    * ``model_type``: of transformers, where ``config.json`` does not say it.

    Args:
        card: its options say which network, its weights are loaded.
        device: where to compute.

    Raises:
        CardError: an option is missing or has an impossible value, or transformers has no such model.
        MissingExtraError: transformers, or selfies, is not installed.
        WeightsError: the weights are missing or are not those of this network.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        try:
            import transformers  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(error.name or "transformers", "transformers") from error
        options = _checked(card)
        if options["model_type"]:
            config_class(card, options["model_type"])  # before looking for weights that nothing could load
        self._notation = _selfies() if options["notation"] == "selfies" else str
        weights = locate(card)
        files = {name: beside(card, weights, name, sha256) for name, sha256 in options["files"].items()}
        self._tokenizer: Tokenizer = (
            HubTokenizer(files) if options["tokenizer"] == "hub" else SmilesRegex(files["vocab.txt"])
        )
        self._max_tokens, self._too_long, self._pooling = options["max_tokens"], options["too_long"], options["pooling"]
        self._device = pick_device(device)
        network = load_network(card, weights, files["config.json"], options["model_type"], options["layer"])
        self._model = network.to(self._device)
        self.dim: int = self._model.config.hidden_size

    @torch.inference_mode()
    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Embed molecules.

        Args:
            smiles: the text matters: another order of the atoms gives another vector.

        Returns:
            A float32 array ``(len(smiles), dim)``, NaN where :meth:`remarks` says why.
        """
        out = np.full((len(smiles), self.dim), np.nan, dtype=np.float32)
        read = [self._read(text)[0] for text in smiles]
        for rows in sub_batches([len(ids) for ids in read]):
            out[rows] = self._embed([read[i] for i in rows])
        return out

    def remarks(self, smiles: Sequence[str]) -> dict[int, str]:
        """Why some of the molecules were not read to their end, or have no vector."""
        found = ((i, self._read(text)[1]) for i, text in enumerate(smiles))
        return {i: remark for i, remark in found if remark}

    def _read(self, smiles: str) -> tuple[list[int], str]:
        """Tokens of a molecule, none if it is refused, and what there is to say of it."""
        try:
            tokens = self._tokenizer(self._notation(smiles))
        except ValueError as error:  # the package selfies does not know all that SMILES can say
            return [], f"cannot be written as SELFIES: {' '.join(str(error).split())[:200]}"
        if tokens.unknown:
            return [], f"not in its vocabulary: {', '.join(dict.fromkeys(tokens.unknown))}"
        ids, most = tokens.ids, self._max_tokens
        if len(ids) <= most:
            return ids, ""
        if self._too_long == "refuse":
            return [], f"has {len(ids)} tokens, more than {most}"
        end = self._tokenizer.trailing
        return ids[: most - end] + ids[len(ids) - end :], f"{most} of {len(ids)} tokens were read"

    def _embed(self, batch: Sequence[list[int]]) -> np.ndarray:
        ids, inside = padded(batch, self._tokenizer.pad)
        h: Tensor = self._model(ids.to(self._device), attention_mask=inside.to(self._device)).last_hidden_state
        if self._pooling == "cls":
            return h[:, 0].cpu().numpy()
        if self._pooling == "mean":
            place, lengths = torch.arange(ids.shape[1]), inside.sum(1, keepdim=True)
            inside = (place >= self._tokenizer.leading) & (place < lengths - self._tokenizer.trailing)
        return mean_over(h, inside).cpu().numpy()


def _checked(card: TeacherCard) -> dict[str, Any]:
    def fail(key: str, expected: str) -> CardError:
        return CardError(f"Teacher {card.name!r}: option {key}: expected {expected}; found {options.get(key)!r}.")

    options = {**DEFAULTS, **card.options}
    known = [*DEFAULTS, "files", "max_tokens"]
    for key in options:
        if key not in known:
            raise fail(key, f"no such option, but {', '.join(known)}")
    for key, choices in CHOICES.items():
        if options[key] not in choices:
            raise fail(key, " or ".join(choices))
    needed = ["config.json"] + ["vocab.txt"] * (options["tokenizer"] == "smiles-regex")
    files = options.get("files")
    if not isinstance(files, Mapping) or not files.keys() >= set(needed) or any(Path(f).name != f for f in files):
        raise fail("files", f"a table with the sha256 of files beside the weights, {' and '.join(needed)} among them")
    if type(options.get("max_tokens")) is not int or options["max_tokens"] < 3:
        raise fail("max_tokens", "a whole number, 3 or more")
    if type(options["layer"]) is not int or options["layer"] < 0:
        raise fail("layer", "the number of a layer, counted from 1")
    return options


def _selfies() -> Callable[[str], str]:
    try:
        import selfies
    except ImportError as error:
        raise MissingExtraError(error.name or "selfies", "transformers") from error

    def encode(smiles: str) -> str:
        try:
            text: str = selfies.encoder(smiles)
        except selfies.EncoderError as error:
            raise ValueError(str(error)) from error
        return text

    return encode

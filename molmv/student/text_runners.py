"""Trained text students at work: texts to tokens to embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice
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
        self._rows: dict[str, int] = defaultdict(count().__next__)  # numbers words as they are met
        self._known = 0  # words that have a sum
        # Of each word: the weighted sum of its tokens' vectors; the sum of their weights, and the number of its tokens.
        self._sums = torch.empty(0, self.encoder.config.embedding)
        self._totals = torch.empty(0, 2)
        self._table = self.encoder.vectors.weight.cpu()
        self._weights = self.encoder.weights.weight[:, 0].exp().cpu()

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
        if len(self._rows) > MAX_WORDS:
            self._forget()
        place = self._rows.__getitem__
        flat = torch.from_numpy(np.fromiter(map(place, chain.from_iterable(words)), dtype=np.int64))
        self._learn()
        ends = np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)))
        offsets = torch.from_numpy(np.concatenate([[0], ends]))
        sums, totals = (
            nn.functional.embedding_bag(flat, table, offsets, mode="sum", include_last_offset=True)
            for table in (self._sums, self._totals)
        )
        full = totals[:, 1].round().long().numpy()
        X = self.encoder.finish(sums.to(self.device), totals[:, 0].to(self.device)).cpu().numpy()
        for i in np.flatnonzero(full > self._reader.most):  # to its first tokens only: token by token
            X[i] = self.encoder(text_tensors(self._reader([texts[i]])[0]).to(self.device)).cpu().numpy()
        return X, full

    def _learn(self) -> None:
        """Sums of the words that were numbered and have none."""
        start, stop = self._known, len(self._rows)
        if start == stop:
            return
        new = list(islice(reversed(self._rows), stop - start))[::-1]
        self._sums, self._totals = (with_room(table, start, stop) for table in (self._sums, self._totals))
        self._sums[start:stop], self._totals[start:stop] = self._summed(self._reader.read_words(new))
        self._known = stop

    def _summed(self, words: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        ids = torch.tensor(list(chain.from_iterable(words)), dtype=torch.long)
        lengths = torch.tensor(list(map(len, words)))
        offsets, weights = nn.functional.pad(lengths.cumsum(0), (1, 0)), self._weights[ids]
        sums = nn.functional.embedding_bag(
            ids, self._table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        )
        totals = torch.segment_reduce(weights, "sum", lengths=lengths, axis=0, initial=0.0)
        return sums, torch.stack([totals, lengths], 1)


def with_room(table: Tensor, rows: int, wanted: int) -> Tensor:
    """A table with the same first ``rows`` and at least ``wanted`` in all; it doubles, so that it seldom grows."""
    if wanted <= len(table):
        return table
    grown = table.new_empty(max(wanted, 2 * len(table)), table.shape[1])
    grown[:rows] = table[:rows]
    return grown


def _restored(make: Callable[[Any], Any], checkpoint: Checkpoint, device: torch.device) -> Any:
    return restore(lambda: make(checkpoint.config), checkpoint.weights).to(device).eval()

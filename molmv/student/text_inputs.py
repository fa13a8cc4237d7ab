"""A corpus as a text student's inputs: all of its tokens in memory (about 50 bytes a sentence)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from molmv import modality
from molmv.documents import read_text
from molmv.errors import ConfigError
from molmv.student.tokens import FILE, Tokens, WordReader, train_vocabulary
from molmv.table import open_table

CHUNK = 8192
# Keys of a config's [student] that say how texts are read, and are no sizes of a network.
READING = ("tokenizer", "max_tokens")
MAX_TOKENS = 256


class TextTensors(NamedTuple):
    """Tokens of a batch of texts, one text after the other."""

    ids: Int64[Tensor, " tokens"]
    offsets: Int64[Tensor, " texts+1"]

    def to(self, device: torch.device, non_blocking: bool = False) -> TextTensors:
        """The same on another device."""
        return TextTensors(*(t.to(device, non_blocking=non_blocking) for t in self))


def text_tensors(tokens: Tokens) -> TextTensors:
    """Numpy to torch."""
    return TextTensors(torch.from_numpy(tokens.ids).long(), torch.from_numpy(tokens.offsets))


class TextInputs:
    """Tokens of every row of a corpus; rows without a token are not :attr:`usable`.

    Args:
        tokens: of every row.
        vocabulary: content of the ``tokenizer.json`` that they are of.
    """

    def __init__(self, tokens: Tokens, vocabulary: bytes) -> None:
        self.tokens, self.files = tokens, {FILE: vocabulary}

    @property
    def usable(self) -> np.ndarray:
        """True where the row has tokens, (rows,)."""
        return self.tokens.lengths > 0

    def batch(self, rows: np.ndarray) -> TextTensors:
        """Tokens of some rows."""
        return text_tensors(self.tokens.take(rows))


def read_corpus(path: Path, sizes: Mapping[str, Any]) -> TextInputs:
    """Tokens of every row of a file of texts.

    Args:
        path: one text a line, csv or parquet.
        sizes: of the student. ``vocabulary``: parts of words in all; they are found in the corpus, unless ``tokenizer``
            names a ``tokenizer.json``. ``max_tokens`` of a text are read.

    Raises:
        InputError: the corpus cannot be read.
        ConfigError: a tokenizer that cannot be read, or has more tokens than ``vocabulary``.
    """
    reads = modality.of("text")
    texts: list[str] = []
    for chunk in open_table(path, modality=reads).chunks(CHUNK):
        texts += reads.canonical(reads.parse(reads.screen(chunk.values, chunk.problems)))
    name, size = sizes.get("tokenizer", ""), sizes["vocabulary"]
    try:
        content = read_text(Path(name)).encode() if name else train_vocabulary(texts, size)
    except (OSError, ValueError) as error:
        raise ConfigError(f"student.tokenizer: {name} cannot be read: {error}") from error
    place = f"student.tokenizer: {name}" if name else FILE
    reader = WordReader(content, sizes.get("max_tokens", MAX_TOKENS), place)
    if reader.size > size:
        raise ConfigError(f"student.vocabulary: {size} is less than the {reader.size} tokens of the vocabulary.")
    return TextInputs(reader(texts)[0], content)

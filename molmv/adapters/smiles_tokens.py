"""From SMILES or SELFIES to the tokens of a transformer; what is not in its vocabulary is told, never dropped."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Schwaller et al., "Mapping the space of chemical reactions using attention-based neural networks" (arXiv:2012.06051):
# an atom in brackets is one token, as are Br, Cl, two-digit rings; the last alternative is what the others leave over.
SMILES = re.compile(r"%\([0-9]{3}\)|\[[^\]]+\]|Br?|Cl?|[NOSPFI]|[bcnosp]|[|().=#+\\/:~@?*$-]|>>?|%[0-9]{2}|[0-9]|.")


@dataclass(frozen=True)
class Tokens:
    """One molecule, with the special tokens around it.

    Attributes:
        ids: rows of the embedding table.
        unknown: parts of the text that the vocabulary does not have.
    """

    ids: list[int]
    unknown: list[str]


class Tokenizer(Protocol):
    """Reads one text.

    Attributes:
        pad: the id that fills a batch up.
        leading: special tokens before those of the molecule.
        trailing: special tokens after them.
    """

    pad: int
    leading: int
    trailing: int

    def __call__(self, text: str) -> Tokens:
        """Its tokens, all of them: a text that is too long for the model is not cut here."""
        ...


class SmilesRegex:
    """The tokenizer of rxnfp: :data:`SMILES`, between ``[CLS]`` and ``[SEP]``.

    Args:
        vocabulary: a file with one token a line.
    """

    leading, trailing = 1, 1

    def __init__(self, vocabulary: Path) -> None:
        self._ids = {token: i for i, token in enumerate(vocabulary.read_text(encoding="utf-8").splitlines())}
        self.pad = self._ids["[PAD]"]

    def __call__(self, text: str) -> Tokens:
        """See :class:`Tokenizer`."""
        tokens, unknown = SMILES.findall(text), self._ids["[UNK]"]
        ids = [self._ids.get(token, unknown) for token in ("[CLS]", *tokens, "[SEP]")]
        return Tokens(ids, [token for token in tokens if token not in self._ids])


class HubTokenizer:
    """A tokenizer of a hub repository, read by the classes of transformers; code of the repository is never run.

    Args:
        files: its files by name; nothing else of their folder is read.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        from transformers import AutoTokenizer

        with tempfile.TemporaryDirectory() as folder:
            for name, path in files.items():
                (Path(folder) / name).write_bytes(path.read_bytes())
            self._read = AutoTokenizer.from_pretrained(
                folder, use_fast=True, local_files_only=True, trust_remote_code=False
            )
        self.pad = self._read.pad_token_id
        marks = self._read("[C]", return_special_tokens_mask=True)["special_tokens_mask"]
        self.leading, self.trailing = marks.index(0), marks[::-1].index(0)

    def __call__(self, text: str) -> Tokens:
        """See :class:`Tokenizer`."""
        read = self._read(text, return_offsets_mapping=True, verbose=False)
        missed = list(text)
        for i, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True):
            if i != self._read.unk_token_id:
                missed[start:end] = " " * (end - start)
        return Tokens(read["input_ids"], "".join(missed).split())  # some tokenizers drop what they do not know

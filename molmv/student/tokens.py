"""Texts to tokens for the text students: a vocabulary of parts of words, and each distinct word read once.

The vocabulary is a ``tokenizer.json`` of the library ``tokenizers`` that splits texts at blanks before anything else:
WordPiece trained on the corpus, or one that a teacher brings. Reading word by word then gives the same tokens as
reading the text, and a word that was read before costs one look-up.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from molmv.documents import parse_json
from molmv.errors import ConfigError, MissingExtraError

FILE = "tokenizer.json"
UNKNOWN = "[UNK]"
# What splits texts at blanks, whatever else it does.
SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
MAX_WORDS = 400_000  # remembered; a stream of ever new words must not fill the memory
MAX_LETTERS = 100  # of a word: what is longer is no word, and is read as unknown
LETTERS = "A-Za-z0-9"
MARKS = frozenset(string.punctuation)


class Tokens:
    """A batch of texts as tokens, one text after the other.

    Attributes:
        ids: rows of the vocabulary.
        offsets: where each text begins in ``ids``, and where the last one ends, (texts + 1).
    """

    def __init__(self, ids: Int32[np.ndarray, " tokens"], offsets: Int64[np.ndarray, " texts+1"]) -> None:
        self.ids, self.offsets = ids, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, " texts"]:
        """Tokens of each text."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Tokens:
        """Some texts, in that order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Position of every token: its text's beginning, and how far it stands behind it.
        steps = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Tokens(self.ids[np.repeat(self.offsets[rows], lengths) + steps], offsets)


class WordReader:
    """Reads texts by a vocabulary.

    Args:
        content: of a ``tokenizer.json``.
        most: tokens of a text that are read.
        name: of the file, for messages.

    Attributes:
        size: of the vocabulary.
        content: what it was made of.

    Raises:
        ConfigError: it is none, or does not split texts at blanks.
        MissingExtraError: tokenizers is not installed.
    """

    def __init__(self, content: bytes, most: int, name: str = FILE) -> None:
        tokenizers = _library()
        self.content, self.most = content, most
        try:
            said = parse_json(content)
            self._tokenizer = tokenizers.Tokenizer.from_str(content.decode())
        except Exception as error:  # tokenizers raises Exception itself
            raise ConfigError(f"{name}: not a tokenizer.json: {error}") from error
        splits = said.get("pre_tokenizer") or {}
        first = (splits.get("pretokenizers") or [splits])[0]
        if first.get("type") not in SPLITTERS:
            raise ConfigError(
                f"{name} splits by {first.get('type')}; expected one of {', '.join(SPLITTERS)}.",
                "Leave it out: a vocabulary is trained on the corpus.",
            )
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.size: int = self._tokenizer.get_vocab_size()
        self._known = KnownWords(said, self._tokenizer.get_vocab())
        self._words: dict[str, list[int]] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[Tokens, list[int]]:
        """The tokens of each text, its first ``most`` ones, and how many it has in all."""
        words = [text.split() for text in texts]
        self._learn(words)
        known, ids, ends, full, most = self._words, list[int](), [0], list[int](), self.most
        for text in words:
            found = [i for word in text for i in known[word]]
            full.append(len(found))
            ids += found[:most]
            ends.append(len(ids))
        return Tokens(np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64)), full

    def read_words(self, words: Sequence[str]) -> list[list[int]]:
        """All tokens of each word; nothing is remembered.

        Args:
            words: without blanks in them.
        """
        found = self._known(words)
        rest = [i for i, ids in enumerate(found) if ids is None]
        cut = [words[i][:MAX_LETTERS] for i in rest]
        for i, read in zip(rest, self._tokenizer.encode_batch_fast(cut, add_special_tokens=False), strict=True):
            found[i] = read.ids
        return found  # type: ignore[return-value]

    def _learn(self, texts: Sequence[list[str]]) -> None:
        new = list(set(chain.from_iterable(texts)) - self._words.keys())
        if len(self._words) + len(new) > MAX_WORDS:
            self._words.clear()
            new = list(set(chain.from_iterable(texts)))
        self._words.update(zip(new, self.read_words(new), strict=True))


class KnownWords:
    """Words whose tokens a vocabulary alone tells; the tokenizer, which is slow, reads the others.

    BERT splits a text at blanks and around every mark of punctuation, and changes nothing of a word of plain letters
    and digits but its case; WordPiece takes the longest part from the left: all of a word that is in the vocabulary.
    A token that the file adds (``[SEP]``) is found anywhere: no word with one of its marks is known. Of a file that
    asks for anything else none is.

    Args:
        said: content of the ``tokenizer.json``.
        vocabulary: its tokens.

    Example:
        >>> said = parse_json(train_vocabulary(["a word", "two words"], 30))
        >>> KnownWords(said, {"[UNK]": 0, "word": 1, "##s": 2, "!": 3})(["word", "Word!", "words", "wörd"])
        [[1], [1, 3], None, None]
    """

    def __init__(self, said: Mapping[str, Any], vocabulary: Mapping[str, int]) -> None:
        model, normaliser, splits = (said.get(key) or {} for key in ("model", "normalizer", "pre_tokenizer"))
        kinds = model.get("type"), normaliser.get("type", "BertNormalizer"), splits.get("type")
        added = [MARKS.intersection(token["content"]) for token in said.get("added_tokens") or ()]
        longest = min(MAX_LETTERS, model.get("max_input_chars_per_word", MAX_LETTERS))
        self._ids: dict[str, list[int]] = {}
        if kinds == ("WordPiece", "BertNormalizer", "BertPreTokenizer") and all(added):
            marks, plain = MARKS.difference(*added), re.compile(f"[{LETTERS}]{{1,{longest}}}").fullmatch
            self._ids = {word: [i] for word, i in vocabulary.items() if word in marks or plain(word)}
        self._fold = str.lower if normaliser.get("lowercase") else str
        self._split = re.compile(f"[{LETTERS}]+|[^{LETTERS}]").findall

    def __call__(self, words: Sequence[str]) -> list[list[int] | None]:
        """Tokens of each word; None of one that is not known."""
        folded = list(map(self._fold, words))
        found = list(map(self._ids.get, folded))
        for i, ids in enumerate(found):
            if ids is None and len(folded[i]) <= MAX_LETTERS:
                parts = list(map(self._ids.get, self._split(folded[i])))
                found[i] = None if None in parts else list(chain.from_iterable(parts))  # type: ignore[arg-type]
        return found


def train_vocabulary(texts: Iterable[str], size: int) -> bytes:
    """A WordPiece vocabulary (lower case, no accents) of at most ``size`` parts of words: a ``tokenizer.json``.

    The same texts give the same vocabulary.

    Raises:
        MissingExtraError: tokenizers is not installed.
    """
    tokenizers = _library()

    def tokenizer(vocabulary: Mapping[str, int]) -> Any:
        made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab=vocabulary, unk_token=UNKNOWN))
        made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        return made

    texts = list(texts)
    draft = tokenizer({})
    letters = sorted(set(draft.normalizer.normalize_str("".join(texts))) - {" "})
    # The trainer numbers letters as it meets them, in an order of no kind, and breaks ties by these numbers: named
    # beforehand they are the same every time.
    alphabet = [UNKNOWN, *letters, *("##" + letter for letter in letters)]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=max(size, len(alphabet)), special_tokens=alphabet, show_progress=False
    )
    draft.train_from_iterator(texts, trainer)
    content: str = tokenizer(draft.get_vocab()).to_str()
    return content.encode()


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "text") from error
    return tokenizers

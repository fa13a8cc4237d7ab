"""Texts to tokens for the text students: a vocabulary of parts of words, and each distinct word read once.

The vocabulary is a ``tokenizer.json`` of the library ``tokenizers`` that splits texts at blanks before anything else:
WordPiece trained on the corpus, or one that a teacher brings. Reading word by word then gives the same tokens as
reading the text, and a word that was read before costs one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
Fold = Callable[[str], str]


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
        self._whole, self._fold = whole_words(said, self._tokenizer.get_vocab())
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
        found = list(map(self._whole.get, map(self._fold, words)))
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


def whole_words(said: Mapping[str, Any], vocabulary: Mapping[str, int]) -> tuple[dict[str, list[int]], Fold]:
    """Words that are one token, and how to spell a word to find it there: most words need no tokenizer, which is slow.

    WordPiece takes the longest part from the left: all of a word of plain letters and digits that is in the vocabulary.
    BERT's normaliser changes nothing of such a word but its case. If a file asks for anything else, no word is known.

    Args:
        said: content of the ``tokenizer.json``.
        vocabulary: its tokens.

    Example:
        >>> import json
        >>> said = json.loads(train_vocabulary(["a word", "two words"], 30))
        >>> words, fold = whole_words(said, {"[UNK]": 0, "word": 1, "##s": 2})
        >>> words, fold("Word")
        ({'word': [1]}, 'word')
    """
    model, normaliser = said["model"], said.get("normalizer") or {"type": None}
    added = any(token["content"].isalnum() for token in said.get("added_tokens") or ())
    simple = (said.get("pre_tokenizer") or {}).get("type") in SPLITTERS and normaliser["type"] in (
        None,
        "BertNormalizer",
    )
    if model.get("type") != "WordPiece" or not simple or added:
        return {}, str
    longest = min(MAX_LETTERS, model.get("max_input_chars_per_word", MAX_LETTERS))
    words = {w: [i] for w, i in vocabulary.items() if w.isascii() and w.isalnum() and len(w) <= longest}
    return words, str.lower if normaliser.get("lowercase") else str


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

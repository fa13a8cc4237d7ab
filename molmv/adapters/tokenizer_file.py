"""Vocabularies of teachers: a ``tokenizer.json``, as the package tokenizers reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molmv.cards import TeacherCard
from molmv.documents import read_text
from molmv.errors import MissingExtraError, WeightsError


def load_tokenizer(card: TeacherCard, path: Path) -> Any:
    """A ``tokenizers.Tokenizer`` that neither pads nor cuts.

    Args:
        card: whose it is.
        path: of the verified file.

    Raises:
        MissingExtraError: tokenizers is not installed.
        WeightsError: the file is no vocabulary, or over 64 MiB.
    """
    require_tokenizers()
    import tokenizers

    try:
        found = tokenizers.Tokenizer.from_str(read_text(path))
    except Exception as error:  # tokenizers raises Exception itself
        why = " ".join(str(error).split())[:200]
        raise WeightsError(f"Teacher {card.name!r}: {path} is no tokenizer.json: {why}.") from error
    found.no_padding()
    found.no_truncation()
    return found


def require_tokenizers() -> None:
    """Refuse to go on without the package.

    Raises:
        MissingExtraError: tokenizers is not installed.
    """
    try:
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "tokenizers", "text") from error

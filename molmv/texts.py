"""Texts in, normalised texts out, and for each row that is refused a status and a reason.

Every text is brought to Unicode's composed form (NFC); control characters become blanks, but for tabs and line ends,
which stay; blanks around it go. What two rows share after that is one text. Beyond :data:`MAX_CHARACTERS` a text is
read from its beginning, and its row marked ``truncated``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from molmv.modality import Modality
from molmv.rows import EMPTY, INVALID, OK, TRUNCATED, Rows

# Far above what any encoder reads; a book in one cell should cost no more than that.
MAX_CHARACTERS = 20_000
# C0, C1, DEL; the byte-order mark and what pads texts in some tables (zero width space and joiners' kin stay: emoji).
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def screen(values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
    """Refuse what is no text: missing, blank, a number, bytes of another encoding; normalise the others.

    Args:
        values: one entry a row; None and NaN count as missing.
        problems: rows that the file reader already found broken, with the reason.
    """
    rows = Rows(list(values), [OK] * len(values), [""] * len(values))
    for i, value in enumerate(rows.inputs):
        if refused := _screen_one(value):
            rows.refuse(i, *refused)
            continue
        text = normalise(value[: MAX_CHARACTERS + 1])  # a text that is far too long need not be read to its end
        if not text:
            rows.refuse(i, EMPTY, "nothing but blanks and control characters" if value.strip() else "empty text")
        elif len(value) > MAX_CHARACTERS:
            rows.inputs[i] = text[:MAX_CHARACTERS].rstrip()
            rows.mark(i, TRUNCATED, f"{MAX_CHARACTERS:,} of {len(value):,} characters were read")
        else:
            rows.inputs[i] = text
    for i, reason in (problems or {}).items():
        rows.refuse(i, INVALID, reason)
    return rows


def _screen_one(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, str):
        nan = isinstance(value, float | np.floating) and np.isnan(value)
        missing = value is None or nan or type(value).__name__ in ("NAType", "NaTType")
        return (EMPTY, "missing value") if missing else (INVALID, f"not a text but a {type(value).__name__}")
    if found := _SURROGATE.search(value):
        code = ord(found[0])
        if 0xDC80 <= code <= 0xDCFF:  # as Python writes a byte that is no UTF-8
            return INVALID, f"the byte 0x{code - 0xDC00:02X} after {found.start():,} characters is not UTF-8"
        return INVALID, f"half a surrogate pair (U+{code:04X}) after {found.start():,} characters"
    return None


def normalise(text: str) -> str:
    r"""One spelling of a text: NFC, control characters as blanks, none of either around it.

    Example:
        >>> normalise(" cafe\u0301\x07 ole ")
        'café  ole'
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", text)).strip()


def parse(rows: Rows) -> list[str | None]:
    """The normalised text of every good row, None where refused; :func:`screen` has refused all that can be."""
    return [text if ok else None for text, ok in zip(rows.inputs, rows.valid, strict=True)]


def canonical(parsed: Sequence[str | None]) -> list[str]:
    """The texts themselves; ``""`` for None."""
    return [text or "" for text in parsed]


def skeletons(canonical: Sequence[str]) -> list[str]:
    """What near-duplicates share: letters and digits, without case, blanks, punctuation and accents.

    Example:
        >>> skeletons(["Where's my card?", "wheres my CARD"])
        ['wheresmycard', 'wheresmycard']
    """
    plain = (unicodedata.normalize("NFKD", text.casefold()) for text in canonical)
    return ["".join(letter for letter in text if letter.isalnum()) for text in plain]


TEXT = Modality(
    "text",
    ("text", "sentence", "body", "content", "review"),
    screen,
    parse,
    canonical,
    extensions={".txt": "lines", ".text": "lines"},
    undecodable="surrogateescape",
    skeletons=skeletons,
)

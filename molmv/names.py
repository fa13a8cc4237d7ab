"""Which texts may name a teacher or a student, and so a folder or a file inside another folder."""

from __future__ import annotations

from pathlib import PureWindowsPath


def is_name(text: str) -> bool:
    """Whether a text is no path, nothing above a folder, and can be printed.

    >>> [is_name(text) for text in ("ecfp", "skfp:ECFP-count", "..", "a/b", "C:/x", "")]
    [True, True, False, False, False, False]
    """
    plain = text.replace(":", "-")  # skfp:ECFP is a name
    return text.isprintable() and text not in ("", ".", "..") and PureWindowsPath(plain).parts == (plain,)

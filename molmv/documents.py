"""JSON and TOML from anyone: bounded in size and depth, and never another error than OSError or ValueError."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 26
_PIECE = 1 << 16


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object, or over 64 MiB.
    """
    return parse_json(_bytes(path))


def parse_json(text: str | bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found a {type(found).__name__}.")
    return found


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error


def read_text(path: Path) -> str:
    """A short text in UTF-8.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no UTF-8, or over 64 MiB.
    """
    return _bytes(path).decode("utf-8")


def _bytes(path: Path) -> bytes:
    data = bytearray()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            data += piece
            if len(data) > MAX_BYTES:
                raise ValueError(f"it is over {MAX_BYTES >> 20} MiB.")
    return bytes(data)

"""JSON and TOML from anyone: bounded in size and depth, and never another error than OSError or ValueError."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 26
MAX_DEPTH = 100  # arrays and objects in one another
_TOO_LARGE = f"it is over {MAX_BYTES >> 20} MiB."
_PIECE = 1 << 16


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object, or over 64 MiB.
    """
    return parse_json(_bytes(path))


def read_json_list(path: Path) -> list[Any]:
    """A JSON array from a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON array, or over 64 MiB.
    """
    found = _parse(_bytes(path))
    if not isinstance(found, list):
        raise ValueError(f"expected a JSON array, found a {type(found).__name__}.")
    return found


def read_json_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """A JSON object a line, each with the line as it is; an end without a line break is no line.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no JSON object, or over 64 MiB.
    """
    with path.open("rb") as file:
        while (line := file.readline(MAX_BYTES + 1)).endswith(b"\n"):
            yield line, parse_json(line)
        if len(line) > MAX_BYTES:
            raise ValueError(_TOO_LARGE)


def parse_json(text: str | bytes, most: int | None = None) -> dict[str, Any]:
    """A JSON object.

    Args:
        text: of the object.
        most: characters or bytes at most, 64 MiB by default; more only for what this program wrote a moment ago.

    Raises:
        ValueError: it is none, too long, or nested too deeply.
    """
    found = _parse(text, most)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found a {type(found).__name__}.")
    return found


def _parse(text: str | bytes, most: int | None = None) -> Any:
    if len(text) > (MAX_BYTES if most is None else most):
        raise ValueError(_TOO_LARGE)
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error
    # Also where it could be parsed: whoever writes or compares what was found may stand deeper in the stack.
    level, depth = [found] if isinstance(found, dict | list) else [], 0
    while level:
        if depth >= MAX_DEPTH:
            raise ValueError("it is nested too deeply.")
        inside = (value.values() if isinstance(value, dict) else value for value in level)
        level, depth = [v for values in inside for v in values if isinstance(v, dict | list)], depth + 1
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
                raise ValueError(_TOO_LARGE)
    return bytes(data)

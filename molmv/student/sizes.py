"""Sizes of a network, from plain values as they stand in a config or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from molmv.errors import ConfigError, did_you_mean

T = TypeVar("T")


def read_sizes(kind: type[T], sizes: Mapping[str, Any]) -> T:
    """A dataclass of sizes; lists become tuples.

    Raises:
        ConfigError: an unknown key, or whatever the class says of impossible values.
    """
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    for name in sizes:
        if name not in known:
            raise ConfigError(f"student: unknown key {name!r}.", did_you_mean(name, known))
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()})

"""Sizes of a network, from plain values as they stand in a config or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from molmv.errors import ConfigError, did_you_mean

T = TypeVar("T")
# Beyond these no network makes sense; a config of a stranger may ask for one that fills the memory.
LARGEST: Mapping[str, int] = {
    "layers": 128,
    "width": 65_536,
    "expansion": 64,
    "embedding": 1_048_576,
    "vocabulary": 10_000_000,
    "hidden": 1_048_576,
    "heads": 65_536,
    "max_tokens": 1_048_576,
}


def read_sizes(kind: type[T], sizes: Mapping[str, Any], ignored: Sequence[str] = ()) -> T:
    """A dataclass of sizes; lists become tuples.

    Args:
        kind: the dataclass.
        sizes: by name.
        ignored: keys of a config that are no sizes.

    Raises:
        ConfigError: an unknown or a missing key, or whatever the class says of impossible values.
    """
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items() if k not in ignored}
    for name in plain:
        if name not in known:
            raise ConfigError(f"student: unknown key {name!r}.", did_you_mean(name, known))
    for name, entry in known.items():
        if name not in plain and entry.default is MISSING:
            raise ConfigError(f"student.{name} must be given.")
    return kind(**plain)


def whole_numbers(config: Any, *names: str, least: int = 1) -> None:
    """Refuse sizes that are no whole numbers from ``least`` to their entry in :data:`LARGEST`.

    Raises:
        ConfigError: names the size.
    """
    for name in names:
        value = getattr(config, name)
        if type(value) is not int or value < least:
            raise ConfigError(f"student.{name}: expected a whole number above {least - 1}, got {value!r}.")
        if value > LARGEST.get(name, value):
            raise ConfigError(f"student.{name}: {value:,} is over {LARGEST[name]:,}.")

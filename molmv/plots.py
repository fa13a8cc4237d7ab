"""Charts as files: the one place that knows altair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molmv.errors import MissingExtraError, OutputError

ENDINGS = (".html", ".png", ".svg")


def altair() -> Any:
    """The module altair, for those who build a chart.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import altair
    except ImportError as error:
        raise MissingExtraError("altair", "plots") from error
    return altair


def save(chart: Any, *paths: Path) -> None:
    """Write a chart, in the format that each path's ending names; an HTML page works without a network.

    Args:
        chart: an altair chart.
        paths: files that end in one of :data:`ENDINGS`; folders are made.

    Raises:
        OutputError: another ending, or the file cannot be written.
    """
    for path in paths:
        if path.suffix not in ENDINGS:
            raise OutputError(f"{path}: expected a name that ends in one of {', '.join(ENDINGS)}.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".html":
                chart.save(str(path), inline=True)
            else:
                chart.save(str(path), scale_factor=2)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}.") from error

"""Options that say what one molecule may cost; shared by the commands that embed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from molmv.limits import Limits

Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0,
        envvar="MOLMV_TIMEOUT",
        help="Seconds that a molecule may take; 0: no limit, and one worker embeds unwatched in this process.",
    ),
]
MemoryLimit = Annotated[
    float | None,
    typer.Option(
        "--memory-limit", metavar="GIB", help="Memory of each worker. [default: its share of 80 % of the machine's]"
    ),
]
TIMEOUT = 60.0


def limits(timeout: float, memory: float | None) -> Limits | None:
    """What was asked for; None for no limit at all.

    Raises:
        InputError: an impossible limit.
    """
    from molmv.limits import Limits

    return Limits(timeout or math.inf, memory) if timeout or memory is not None else None

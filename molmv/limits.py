"""What one molecule may cost: time, and memory of the process that embeds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from molmv.errors import InputError

MEMORY_SHARE = 0.8  # of the machine's memory, for all processes together


@dataclass(frozen=True)
class Limits:
    """What one molecule may cost.

    Attributes:
        seconds: of wall time; inf for no limit.
        gibibytes: resident memory of its process, the model included; None: its share of 80 % of the machine's.
    """

    seconds: float = 60.0
    gibibytes: float | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.gibibytes is not None and not self.gibibytes > 0:
            raise InputError("A limit of time or memory is a number above 0.", "Leave it out for the default.")

    def bytes(self, workers: int) -> float:
        """Resident memory that each of so many processes may have."""
        if self.gibibytes is not None:
            return self.gibibytes * 2**30
        return MEMORY_SHARE * _machine_memory() / workers


def _machine_memory() -> float:
    """Bytes of this machine, or of the container that we are in."""
    import psutil

    total = float(psutil.virtual_memory().total)
    try:
        return min(total, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return total

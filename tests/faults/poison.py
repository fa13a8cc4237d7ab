"""A family of teachers that some molecules hang, kill or bloat; as a package would bring it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molmv.cards import TeacherCard

HANG, SEGFAULT, MEMORY, EXIT = "[Xe]", "[Kr]", "[Ar]", "[Ne]"
ALONE = "[He]"  # two of them in one batch kill
WORKER_KILL = "[Rn]"  # kills the first process that sees it, and none after
PARENT_KILL = "[Og]"  # likewise the one that watches it


class Poison:
    """Length and letters of the SMILES.

    Args:
        card: its option ``seconds`` is what each batch takes, ``seen`` a file that remembers a kill.
        device: not used.
    """

    dim = 3

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        self._seconds = float(card.options.get("seconds", 0))
        self._seen = Path(str(card.options.get("seen", "")))

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, 3)``, which do not depend on the batch."""
        time.sleep(self._seconds)
        if SEGFAULT in inputs or sum(text == ALONE for text in inputs) > 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if EXIT in inputs:
            os._exit(3)
        if WORKER_KILL in inputs and not self._seen.exists():
            self._seen.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if PARENT_KILL in inputs and not self._seen.exists():
            self._seen.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if MEMORY in inputs:
            eaten = []
            for _ in range(40):
                eaten.append(np.ones(2**25))  # 256 MiB, really written
                time.sleep(0.05)
        while HANG in inputs:
            time.sleep(0.1)
        return np.array([[len(text), sum(map(ord, text)), text.count("C")] for text in inputs], dtype=np.float32)

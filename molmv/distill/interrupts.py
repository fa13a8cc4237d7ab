"""What ends a training early: Ctrl-C, and SIGTERM, which schedulers and ``kill`` send. Both are a KeyboardInterrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import lightning
from lightning.pytorch.callbacks import Callback


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt, and so is the next one: Lightning would end the process, and turns it off."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from end


class TermIsInterrupt(Callback):
    """SIGTERM ends a training as Ctrl-C does.

    Lightning's handler tells the other processes by a broadcast that they do not expect, and waits for them: a training
    on several would hang. Lightning sets its handler before these hooks, and puts the one of before back at the end.
    """

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Training."""
        self._take_over()

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Validation, in a training and after it."""
        self._take_over()

    @staticmethod
    def _take_over() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)

"""Which device to compute on, with how many threads, and whether it multiplies in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from molmv.errors import InputError


def pick_device(device: str) -> torch.device:
    """``auto`` is the first CUDA device if there is one, else the CPU.

    Raises:
        InputError: a device that torch does not know or that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"No device is called {device!r}.", "Use auto, cpu or cuda.") from error
    try:
        torch.zeros(1, device=picked).cpu()
    except (RuntimeError, AssertionError) as error:  # absent, without its driver, or unable to hold numbers
        raise InputError(f"There is no device {device!r} here.", "Use auto or cpu.") from error
    return picked


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products; without them autocast only costs time."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch on one core of the CPU: what is cut into blocks for the cache of a core gains nothing from a second.

    On a machine that does other work too, threads that wait for each other after every operation cost thirtyfold.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Which device to compute on, and whether it multiplies in bfloat16."""

from __future__ import annotations

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

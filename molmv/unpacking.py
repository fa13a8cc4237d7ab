"""Whether what a packed file unpacks to is believable: an archive of a kilobyte may hold a terabyte of zeros."""

from __future__ import annotations

from molmv.errors import InputError

# Beyond the first, a file may not unpack to more than the second times its size.
_FREE, _MAX_RATIO = 1 << 30, 250


def check_unpacked(name: str, unpacked: int, packed: int) -> None:
    """Refuse what only an archive made to fill a disk or a memory does; called before or while it is unpacked.

    Args:
        name: of the file, for the message.
        unpacked: bytes so far, or claimed.
        packed: size of the file.

    Raises:
        InputError: it is over 1 GiB, and over 250 times the size of the file.
    """
    if unpacked > _FREE and unpacked > _MAX_RATIO * packed:
        raise InputError(
            f"{name} unpacks to over {_MAX_RATIO} times its size ({unpacked / (1 << 30):.1f} GiB).",
            "If you trust it, unpack it yourself and give the unpacked file.",
        )

"""A corpus on disk, and what is said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def write_corpus(lines: Sequence[str], output: Path, about: str = "") -> None:
    """Write a line a molecule, making the folder; print their number, and the hash by which others name the file."""
    data = "".join(f"{line}\n" for line in lines).encode()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(data)
    print(f"{output}: {len(lines):,} molecules{about}, sha256 {hashlib.sha256(data).hexdigest()}")

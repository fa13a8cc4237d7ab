"""Where the public data sets lie: a folder, the cache, or an address; never a file whose hash is not the one known.

``sets.csv`` beside this file names every file with its SHA-256. Files are looked for in the folder that
``MOLMV_MIRROR`` names (``tdc/AMES.csv``, ``admet_group/ames/test.csv``, …), in the cache (``MOLMV_HOME``), and at the
address that ``MOLMV_DATA_URL`` names, a web server with the same layout. A user's file can be an address with its
hash: ``https://…/assay.csv#sha256=…``.
"""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from molmv.errors import InputError
from molmv.weights import cache_folder


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        suite: ``tdc`` or ``admet``.
        name: of the data set, as TDC spells it.
        kind: ``classification`` or ``regression``.
        file: path in the mirror.
        sha256: of its bytes.
    """

    suite: str
    name: str
    kind: str
    file: str
    sha256: str


@cache
def files() -> tuple[DataFile, ...]:
    """All files of all public data sets."""
    with Path(__file__).with_name("sets.csv").open(newline="", encoding="utf-8") as table:
        return tuple(DataFile(**row) for row in csv.DictReader(table))


def find(file: DataFile) -> Path:
    """The verified file on this machine, downloaded if need be.

    Raises:
        InputError: it is nowhere, or not the one known.
    """
    for folder in (os.environ.get("MOLMV_MIRROR"), cache_folder() / "data"):
        if folder and (path := Path(folder) / file.file).is_file():
            return _verified(path, file.sha256)
    if base := os.environ.get("MOLMV_DATA_URL"):
        return fetch(f"{base.rstrip('/')}/{file.file}", file.sha256, cache_folder() / "data" / file.file)
    raise InputError(
        f"The data set {file.name} ({file.file}) is not on this machine.",
        "Set MOLMV_MIRROR to a folder, or MOLMV_DATA_URL to an address, that holds it.",
    )


def fetch(url: str, sha256: str, path: Path) -> Path:
    """Download an address whose content has that hash.

    Raises:
        InputError: nobody answers, or something else lies there.
    """
    import pooch

    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=path.name, path=path.parent))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{url} cannot be had: {' '.join(str(error).split())[:200]}.", "Check address and hash."
        ) from error


def user_file(address: str) -> Path:
    """A path, or the verified download of ``https://…#sha256=…``.

    Raises:
        InputError: an address without a hash, or see :func:`fetch`.
    """
    if not address.startswith(("http://", "https://")):
        return Path(address)
    url, _, sha256 = address.partition("#sha256=")
    if len(sha256) != 64:
        raise InputError(f"{url} needs the hash of its content.", f"Write {url}#sha256=…")
    return fetch(url, sha256, cache_folder() / "data" / sha256[:16] / Path(urlsplit(url).path).name)


def _verified(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise InputError(
            f"{path} is not the file known: expected sha256 {sha256}, found {found}.", "Copy or download it again."
        )
    return path

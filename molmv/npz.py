"""Opens npy and npz of anyone: nothing is unpickled, no header is believed before the bytes that it promises are there.

``numpy.load`` allocates what a header claims before it reads, and an archive of a kilobyte may claim a terabyte.
"""

from __future__ import annotations

import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any

import numpy as np

from molmv.errors import InputError
from molmv.unpacking import check_unpacked

_MAX_DEFLATE = 1032  # bytes that a byte of a deflated file can stand for, at most
_MAX_TEXT = 1 << 26


class Npz:
    """An npz file, opened; a context manager.

    Args:
        path: the file.

    Attributes:
        names: of its members; those of arrays end in ``.npy``.

    Raises:
        InputError: it is no zip archive.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(str(path)):
            self._archive = zipfile.ZipFile(path)
        self.names = self._archive.namelist()

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    def array(self, name: str) -> np.ndarray:
        """One array, in memory.

        Raises:
            InputError: no such array, a damaged one, one of Python objects, or one that is not as large as it claims.
        """
        with self._member(f"{name}.npy") as (member, size):
            shape, order, dtype = npy_header(member, size, f"{self.path}: {name}")
            data = bytearray(_bytes(shape, dtype))  # writable, unlike bytes
            place = memoryview(data)
            while place and (read := member.readinto(place)):  # type: ignore[attr-defined]
                place = place[read:]
            if place:
                raise EOFError(f"{len(place):,} bytes are missing")
            return np.frombuffer(data, dtype).reshape(shape, order=order)

    def mapped(self, name: str) -> np.ndarray:
        """One array, memory-mapped from a temporary file into which it is unpacked.

        Raises:
            InputError: see :meth:`array`.
        """
        with self._member(f"{name}.npy") as (member, size), TemporaryFile() as spool:
            shape, order, dtype = npy_header(member, size, f"{self.path}: {name}")
            shutil.copyfileobj(member, spool, 1 << 20)
            spool.flush()
            return map_numbers(spool, shape, order, dtype)

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """A member that is no array, as a file.

        Raises:
            InputError: no such member, a damaged one, or a claim of an impossible size.
        """
        with self._member(name) as (member, _):
            yield member

    def text(self, name: str) -> bytes:
        """A member that is a short text.

        Raises:
            InputError: see :meth:`stream`; or it is over 64 MiB.
        """
        with self._member(name) as (member, _):
            data = member.read(_MAX_TEXT + 1)
        if len(data) > _MAX_TEXT:
            raise InputError(f"{self.path}: {name} is over {_MAX_TEXT >> 20} MiB.")
        return data

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        where = f"{self.path}: {name}"
        if name not in self.names:
            raise InputError(f"{self.path} has no {name}; it has {', '.join(self.names[:12]) or 'nothing'}.")
        info = self._archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{where} is compressed in a way that numpy does not use.", "Write it with numpy.savez.")
        if info.file_size > _MAX_DEFLATE * max(info.compress_size, 1):
            raise InputError(f"{where} claims to unpack to {info.file_size:,} bytes, which its size does not allow.")
        check_unpacked(where, info.file_size, info.compress_size)
        with _readable(where), self._archive.open(info) as member:
            yield member, info.file_size


def npy_header(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Shape, order (C or F) and type of an npy; the file stands at its numbers then.

    Args:
        file: at its beginning.
        size: of the file in bytes.
        name: for messages.

    Raises:
        InputError: other than exactly what it promises follows, Python objects, or no npy.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise InputError(f"{name}: npy of version {version}; expected 1 or 2.", "Write it again with numpy.save.")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError, TypeError) as error:
        raise InputError(f"{name}: its header cannot be read: {error}.", "Write it again with numpy.save.") from error
    if dtype.hasobject:
        raise InputError(f"{name} holds Python objects, which are not opened.", "Write it as an array of numbers.")
    promised, there = _bytes(shape, dtype), size - file.tell()
    if promised != there or min(shape, default=0) < 0 or (dtype.itemsize == 0 and 0 not in shape):
        raise InputError(
            f"{name}: its header promises {promised:,} bytes (shape {shape}, {dtype}), there are {there:,}.",
            "Write or copy it again.",
        )
    return shape, "F" if fortran else "C", dtype


def _bytes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    size: int = dtype.itemsize
    for length in shape:
        size *= length
    return size


def map_numbers(file: IO[bytes], shape: tuple[int, ...], order: Any, dtype: np.dtype[Any], offset: int = 0) -> Any:
    """The numbers of a file as an array that is read when it is used."""
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", offset, shape, order)  # type: ignore[call-overload]


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Whatever an archive does wrong is one kind of error."""
    try:
        yield
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:300]
        raise InputError(f"{name} cannot be read: {why}.", "Write or copy it again.") from error

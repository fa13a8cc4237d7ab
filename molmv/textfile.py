"""Lines of a text file whatever its packing: plain or gzip, UTF-8 or UTF-16, any line ends, a file or stdin."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

from molmv.errors import InputError
from molmv.unpacking import check_unpacked

STDIN = "-"
_BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# Longer than any record; a file without line ends is not read into memory as one line.
MAX_LINE = 1 << 26
_FORMATS = "Give csv, tsv, smi (maybe gzipped) or parquet."


class TextFile:
    """A text file, opened; its lines are read once, as they are asked for.

    Args:
        path: the file; ``"-"`` for stdin.
        undecodable: what becomes of bytes that are no text in the file's encoding: ``strict`` is an error,
            ``surrogateescape`` leaves a lone surrogate in their place.

    Attributes:
        name: what to call it in messages.
        head: its first bytes, unzipped.
        regular: whether it can be read again (stdin and pipes cannot).

    Raises:
        InputError: it cannot be opened, or is a damaged archive.
    """

    def __init__(self, path: str | Path, undecodable: str = "strict") -> None:
        self.path, self._undecodable = Path(path), undecodable
        self._stdin = str(path) == STDIN
        self.name = "stdin" if self._stdin else str(path)
        self.regular = not self._stdin and self.path.is_file()
        try:
            raw = cast(io.BufferedReader, sys.stdin.buffer if self._stdin else self.path.open("rb"))
            self._size = self.path.stat().st_size if self.regular else 0
        except FileNotFoundError:
            raise InputError(f"There is no file {self.name}.", "Check the path.") from None
        except IsADirectoryError:
            raise InputError(f"{self.name} is a folder, not a file.", "Give one file.") from None
        except OSError as error:
            raise InputError(f"Cannot read {self.name}: {error.strerror}.", "Check the path and its rights.") from error
        self._raw = self._bytes = raw
        self._zipped = self.regular and raw.peek(2)[:2] == b"\x1f\x8b"
        if raw.peek(2)[:2] == b"\x1f\x8b":
            self._bytes = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)))
        try:
            self.head = self._bytes.peek(1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._damaged(0) from error

    @property
    def fraction(self) -> float | None:
        """How much has been read, from 0 to 1; None where the size is unknown."""
        if not self.regular:
            return None
        return 1.0 if self._raw.closed else self._raw.tell() / max(self._size, 1)

    def close(self) -> None:
        """Close the file; stdin stays open."""
        if not self._stdin:
            self._bytes.close()
            self._raw.close()

    def lines(self) -> Iterator[str]:
        """Lines with their ends, which may be LF, CRLF or CR.

        Raises:
            InputError: bytes that are no text in the file's encoding, a truncated archive; names the line.
        """
        encoding = self._encoding()
        if b"\0" in self.head and not encoding.startswith(("utf-16", "utf-32")):
            raise InputError(f"{self.name} is not text but a binary file.", _FORMATS)
        text = io.TextIOWrapper(self._bytes, encoding=encoding, errors=self._errors(encoding), newline="")
        number = unpacked = 0
        packed = self._size if self._zipped else sys.maxsize
        try:
            for number, line in enumerate(iter(partial(text.readline, MAX_LINE), ""), 1):
                if "\0" in line:
                    raise InputError(f"{self.name} is not text: line {number} holds a NUL byte.", _FORMATS)
                if len(line) == MAX_LINE:
                    raise InputError(f"{self.name}: line {number} has over {MAX_LINE:,} characters.", _FORMATS)
                unpacked += len(line)
                if unpacked > packed:
                    check_unpacked(self.name, unpacked, packed)
                yield line
        except UnicodeDecodeError as error:
            # The lines before the block with the fault have all been yielded; those inside it have not.
            number += 1 + error.object[: error.start].decode(error.encoding, "ignore").count("\n")
            raise InputError(
                f"{self.name}: line {number} is not {encoding.upper()} ({error.object[error.start : error.end]!r}).",
                "Save the file as UTF-8.",
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._damaged(number) from error
        except OSError as error:
            raise InputError(f"{self.name}: cannot read after line {number}: {error.strerror}.") from error
        finally:
            if self._stdin:
                with suppress(ValueError):  # somebody has closed it already
                    text.detach()  # else it would be closed together with the text
            else:
                text.close()

    def _encoding(self) -> str:
        for bom, encoding in _BOMS.items():
            if self.head.startswith(bom):
                return encoding
        # Without a mark: ASCII text in UTF-16 has a NUL in every other byte.
        zeros = "".join("0" if byte == 0 else "x" for byte in self.head[:4])
        return {"x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(zeros, "utf-8")

    def _errors(self, encoding: str) -> str:
        """Only in UTF-8 does the text after a wrong byte say anything."""
        return self._undecodable if encoding.startswith("utf-8") else "strict"

    def _damaged(self, line: int) -> InputError:
        return InputError(
            f"{self.name} is a truncated or damaged gzip file (good up to line {line}).", "Copy or download it again."
        )

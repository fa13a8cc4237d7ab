"""Arrow files of anyone."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from molmv.arrow_file import read_arrow


def table(rows: int = 7) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * rows, dtype=np.float16)), 2)
    return pa.table({"row": np.arange(rows), "status": ["ok"] * rows, "value": vectors})


def write(path: Path, content: pa.Table, **options: Any) -> Path:
    with pa.ipc.new_file(str(path), content.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(content, max_chunksize=3)
    return path


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_what_was_written_is_read(rows: int, tmp_path: Path):
    assert read_arrow(write(tmp_path / "a.arrow", table(rows))).equals(table(rows))


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_what_must_be_unpacked_is_refused(codec: str, tmp_path: Path):
    """A kilobyte may stand for any number of zeros."""
    if not pa.Codec.is_available(codec):
        pytest.skip(f"this pyarrow has no {codec}")
    zeros = pa.table({"status": pa.array(["ok"]), "zeros": [np.zeros(1 << 20)]})
    path = write(tmp_path / "a.arrow", zeros, compression=codec)
    assert path.stat().st_size < 1 << 20
    before = pa.total_allocated_bytes()
    with pytest.raises(ValueError, match="packed otherwise"):
        read_arrow(path)
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_dictionaries_are_refused(tmp_path: Path):
    coded = pa.table({"status": table()["status"].dictionary_encode()})
    with pytest.raises(ValueError, match="packed otherwise"):
        read_arrow(write(tmp_path / "a.arrow", coded))


@pytest.mark.parametrize("content", [b"", b"x", b"ARROW1\0\0", b"ARROW1\0\0" + b"abc" * 99, b"PAR1" * 99])
def test_no_arrow_file(content: bytes, tmp_path: Path):
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises((ValueError, OSError)):
        read_arrow(tmp_path / "a.arrow")
    with pytest.raises(OSError, match="No such file"):
        read_arrow(tmp_path / "none.arrow")


def test_texts_that_are_not_utf8(tmp_path: Path):
    path = write(tmp_path / "a.arrow", table())
    path.write_bytes(path.read_bytes().replace(b"okokok", b"ok\xff\xfeok"))
    with pytest.raises(ValueError, match="UTF8"):
        read_arrow(path)

"""Files that appear whole or not at all."""

import multiprocessing
from pathlib import Path

import pytest

from molmv.atomic import replacing
from molmv.errors import OutputError


def _write(path: str, text: str, times: int) -> None:
    for _ in range(times):
        with replacing(Path(path), shared=True) as temporary:
            temporary.write_text(text * 20_000)


def test_two_processes_write_one_file_of_a_cache(tmp_path: Path):
    """Each time it is whole, of one or the other, and neither fails."""
    path = tmp_path / "kept.npz"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(path), text, 60)) for text in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            assert path.read_text() in ("a" * 20_000, "b" * 20_000)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["kept.npz"]


def test_a_failed_body_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("before")

    def write_half():
        with replacing(path, shared=True) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_is_named(tmp_path: Path):
    missing = replacing(tmp_path / "none" / "file")
    with pytest.raises(OutputError, match=r"The folder .*none of file does not exist"):
        missing.__enter__()

"""Locale, time zone, umask, odd paths and line ends change nothing of what is written."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="umask and locales of POSIX")
ROWS = ["CCO", "IC1=CC=CC=C1I", "c1ccccc1", "bad", "", "İ", "C" * 30]


def locales() -> set[str]:
    run = subprocess.run(["locale", "-a"], capture_output=True, text=True)
    return {line.strip().lower() for line in run.stdout.splitlines()}


def embed(
    folder: Path, model: str, umask: int = 0o022, ends: str = "\n", name: str = "in.csv", **environment: str
) -> bytes:
    """What the command writes of the same rows."""
    folder.mkdir(parents=True)
    lines = ["kimlik,smiles", *(f"ı{i} é,{text}" for i, text in enumerate(ROWS)), ""]
    (folder / name).write_bytes(ends.join(lines).encode())
    command = [
        sys.executable,
        "-m",
        "molmv",
        "featurize",
        name,
        "-o",
        "out ü.csv",
        "-m",
        model,
        "-q",
        "--id-column",
        "kimlik",
    ]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "TZ"))}
    run = subprocess.run(command, cwd=folder, env={**kept, **environment}, umask=umask, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return (folder / "out ü.csv").read_bytes()


SURROUNDINGS: dict[str, dict[str, object]] = {
    "C": {"LC_ALL": "C"},
    "POSIX, not coerced": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8"},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "umask": {"umask": 0o077},
    "line ends of Windows": {"ends": "\r\n"},
    "spaces and unicode": {"name": "mein Korpus – 分子 (1).csv"},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return embed(tmp_path_factory.mktemp("plain") / "here", "rdkit-descriptors", LC_ALL="C.UTF-8", TZ="UTC")


QUICK = ("C", "line ends of Windows")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SURROUNDINGS]
)
def test_the_same_is_written(name: str, plain: bytes, tmp_path: Path, record_property: Callable[[str, object], None]):
    if name == "Turkish" and "tr_tr.utf8" not in locales():
        pytest.skip("no Turkish locale is installed")
    folder = tmp_path / ("ein Ordner é" if name == "spaces and unicode" else "here")
    options: dict[str, object] = {"LC_ALL": "C.UTF-8", **SURROUNDINGS[name]}
    assert embed(folder, "rdkit-descriptors", **options) == plain  # type: ignore[arg-type]
    if name == "umask":
        assert stat.S_IMODE((folder / "out ü.csv").stat().st_mode) == 0o600
    record_property("faults", ["surroundings", 1, 1, 0])

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
    "no UTF-8": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "name": "mein Korpus – 分子 (1).csv"},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return embed(tmp_path_factory.mktemp("plain") / "here", "rdkit-descriptors", LC_ALL="C.UTF-8", TZ="UTC")


QUICK = ("C", "line ends of Windows", "no UTF-8")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SURROUNDINGS]
)
def test_the_same_is_written(name: str, plain: bytes, tmp_path: Path, record_property: Callable[[str, object], None]):
    if name == "Turkish" and "tr_tr.utf8" not in locales():
        pytest.skip("no Turkish locale is installed")
    folder = tmp_path / ("ein Ordner é" if "name" in SURROUNDINGS[name] else "here")
    options: dict[str, object] = {"LC_ALL": "C.UTF-8", **SURROUNDINGS[name]}
    assert embed(folder, "rdkit-descriptors", **options) == plain  # type: ignore[arg-type]
    if name == "umask":
        assert stat.S_IMODE((folder / "out ü.csv").stat().st_mode) == 0o600
    record_property("faults", ["surroundings", 1, 1, 0])


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "POSIX", "PYTHONUTF8": "0"}, {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"}],
    ids=["no UTF-8", "ASCII on the terminal"],
)
def test_a_name_that_the_locale_does_not_have(environment: dict[str, str], tmp_path: Path):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}

    def run(*arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "molmv", *arguments]
        return subprocess.run(command, cwd=tmp_path, env={**kept, **environment}, capture_output=True)

    missing = run("featurize", "Moleküle – 分子.csv")
    assert missing.returncode == 2
    assert missing.stderr.startswith(b"error: ")
    assert b"Traceback" not in missing.stderr
    (tmp_path / "Moleküle.parquet").write_bytes(b"PAR1")
    damaged = run("verify", "Moleküle.parquet")  # says the name on stdout
    assert damaged.returncode == 1, damaged.stderr
    assert b"Molek" in damaged.stdout
    assert b"Traceback" not in damaged.stderr


def test_a_name_that_is_no_text(tmp_path: Path):
    (tmp_path / "mol").write_text("smiles\nCCO\n")
    bad = os.fsencode(tmp_path) + b"/m\xff.parquet"
    try:
        os.rename(tmp_path / "mol", bad)  # noqa: PTH104
    except OSError:
        pytest.skip("this file system has no such names")
    command = [sys.executable, "-m", "molmv", "verify", bad]
    run = subprocess.run(command, env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True)
    assert run.returncode == 1
    assert b"m" in run.stdout
    assert b"Traceback" not in run.stderr

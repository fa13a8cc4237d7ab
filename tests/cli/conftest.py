"""`molmv` in this process, with a quick model in place of the released student; and as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder
from typer.testing import CliRunner, Result

import molmv.models

Molmv = Callable[..., Result]


@pytest.fixture
def molmv_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Molmv:
    """Runs the command in an empty folder; errors that are not molmv's own come through."""
    from molmv.cli import app

    def load(name: str, device: str = "auto", batch_size: int | None = None) -> FakeEmbedder:
        return FakeEmbedder(name=name, device=device, batch_size=batch_size)

    monkeypatch.setattr(molmv.models, "load_embedder", load)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


SLOW = f"""
import os, sys, time
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent.parent), str(Path(molmv.__file__).parent.parent)]!r}
import molmv.models
from fake_embedder import FakeEmbedder

class Slow(FakeEmbedder):
    def embed(self, rows):
        Path("embedding").touch()
        time.sleep(float(os.environ.get("SECONDS_A_CHUNK", 0.3)))
        return super().embed(rows)

molmv.models.load_embedder = lambda *args, **kwargs: Slow()
from molmv.cli import main
main()
"""


@pytest.fixture
def start_molmv(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command as a process, with a model that takes its time."""

    def start(*arguments: object, seconds: float = 0.3) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLOW, *map(str, arguments)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        # A test run in the background ignores SIGINT, and so would its children.
        listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL) if os.name == "posix" else None
        environment = {**os.environ, "SECONDS_A_CHUNK": str(seconds)}
        return subprocess.Popen(command, cwd=tmp_path, text=True, preexec_fn=listen, env=environment, **pipes)

    return start

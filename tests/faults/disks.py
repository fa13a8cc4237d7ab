"""Small disks of their own, and folders whose rights are taken away."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


class Disk:
    """A small disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=4m", "tmpfs")

    def _mount(self, *arguments: str) -> None:
        run = subprocess.run(["mount", *arguments, str(self.path)], capture_output=True, text=True)
        if run.returncode:
            pytest.skip(f"no file system can be mounted here: {run.stderr.strip()}")

    def fill(self, leave: int = 0) -> None:
        """Leave no more than some bytes."""
        with (self.path / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"0" * 4096)
        os.truncate(self.path / "filler", (self.path / "filler").stat().st_size - leave)

    def free(self) -> None:
        (self.path / "filler").unlink()

    def forbid(self) -> None:
        self._mount("-o", "remount,ro")

    def eject(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


class Rights:
    """Of a folder; root gives up being root meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, os.geteuid() == 0

    def take(self) -> None:
        for folder in self._folders():
            folder.chmod(0o500)
        if self.root:
            os.seteuid(65534)

    def give(self) -> None:
        if self.root:
            os.seteuid(0)
        for folder in self._folders():
            folder.chmod(0o700)

    def _folders(self) -> list[Path]:
        return [self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

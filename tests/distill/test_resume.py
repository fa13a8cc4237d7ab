"""A run that was interrupted or damaged ends as if nothing had happened, or is refused."""

import pickle
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from tiny_distillation import DROPOUT, Stopper, World, assert_same, press_ctrl_c, terminate

from molmv.distill import distill
from molmv.errors import ConfigError


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished run as it was before its last checkpoint, to damage and resume."""
    output = tmp_path / "copy"
    shutil.copytree(finished, output)
    (output / "checkpoints" / "00000024.ckpt").unlink()
    shutil.rmtree(output / "student")
    (output / "heads.safetensors").unlink()
    return output


@pytest.mark.parametrize("stop", [press_ctrl_c, terminate])
def test_interrupted_and_resumed_is_uninterrupted(
    stop: Callable[[], None], finished: Path, world: World, tmp_path: Path
):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    config = world.config(tmp_path / "run", **DROPOUT)
    with pytest.raises(KeyboardInterrupt):
        distill(config, loggers=[Stopper(tmp_path, stop)])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert not (tmp_path / "run" / "student").exists()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000008.ckpt"]
    distill(config, resume=True)
    assert_same(finished, tmp_path / "run")


def test_resuming_a_finished_run_writes_the_same(finished: Path, world: World, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "student")
    distill(world.config(tmp_path / "run", **DROPOUT), resume=True)
    assert_same(finished, tmp_path / "run")


def test_resume_without_a_run_starts_one(finished: Path, world: World, tmp_path: Path):
    distill(world.config(tmp_path / "new", **DROPOUT), resume=True)
    assert_same(finished, tmp_path / "new")


class Evil:
    trace = Path()

    def __reduce__(self):
        return Path.touch, (self.trace,)


def flip(path: Path) -> None:
    """One bit of the largest tensor; a byte picked by its place in the file may be padding, which holds nothing."""
    with ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        content = archive.read(largest)
    data = bytearray(path.read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": flip,
    "pickle": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "pickle in an archive": lambda path: torch.save({"global_step": 16, "state_dict": Evil()}, path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_newest_checkpoint_is_passed_over(
    finished: Path, copy: Path, world: World, damage: str, monkeypatch: pytest.MonkeyPatch
):
    trace = copy / "executed"
    monkeypatch.setattr(Evil, "trace", trace)
    newest = copy / "checkpoints" / "00000017.ckpt"
    shutil.copy(copy / "checkpoints" / "00000016.ckpt", newest)
    DAMAGE[damage](newest)
    with pytest.warns(UserWarning, match=r"00000017\.ckpt is damaged and passed over"):
        distill(world.config(copy, **DROPOUT), resume=True)
    assert not trace.exists()
    assert_same(finished, copy)


def test_checkpoint_of_another_config_is_refused(copy: Path, world: World):
    for change in ({"seed": 1}, {"train": {"steps": 30}}):
        with pytest.raises(ConfigError, match=r"00000016\.ckpt was made with another config"):
            distill(world.config(copy, **DROPOUT, **change), resume=True)


def test_checkpoints_are_kept_for_other_intervals(finished: Path, copy: Path, world: World):
    """When to validate and where to log decide nothing."""
    distill(world.config(copy, **DROPOUT, train={"validate_every": 5, "checkpoint_every": 3}), resume=True)
    assert_same(finished, copy)

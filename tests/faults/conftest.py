"""The poison teacher, installed as pip would; this process and those it starts find it. Disks and rights to lose."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import Disk, Rights

HERE = Path(__file__).parent
CARD = """
name = "poison"
modality = "molecule"
adapter = "poison"
dim = 3
likelihood = "gaussian"
encoding = "float32"
[options]
{options}
[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""


@pytest.fixture(scope="session", autouse=True)
def poison_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site-packages")
    info = site / "poison-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[molmv.adapters]\npoison = poison:Poison\n")
    (site / "poison.py").write_text((HERE / "poison.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(HERE.parent.parent)]))
        yield


@pytest.fixture
def poison_card(tmp_path: Path) -> Callable[..., str]:
    """Writes a card of the teacher and gives its path."""

    def write(**options: object) -> str:
        lines = "\n".join(f"{name} = {value!r}" for name, value in options.items())
        (tmp_path / "poison.toml").write_text(CARD.format(options=lines))
        return str(tmp_path / "poison.toml")

    return write


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root can mount a small disk")
    found = Disk(tmp_path / "disk")
    yield found
    found.eject()


@pytest.fixture
def rights(tmp_path: Path) -> Iterator[Rights]:
    if os.name != "posix":
        pytest.skip("Windows has other rights")
    (tmp_path / "mine").mkdir()
    found = Rights(tmp_path / "mine")
    yield found
    found.give()

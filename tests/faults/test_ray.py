"""The Ray engine writes the folder that the local engine writes, also when an actor is killed in the middle."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from poison import PARENT_KILL

pytest.importorskip("ray", reason="Ray is not installed")

from molmv.errors import OutputError, ProcessError
from molmv.featurizing_blocks import Options, featurize_blocks, merge_blocks
from molmv.scale import _patiently, cluster, featurize_on_ray

BLOCKS = 12


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """In the middle, a molecule that kills the actor that embeds it, once."""
    smiles = ["bad" if i % 10 == 3 else "C" * (i % 20 + 1) for i in range(10 * BLOCKS - 4)]
    smiles[5 * BLOCKS] = PARENT_KILL
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """Both tests share it: its start is most of their cost."""
    with ExitStack() as stack:
        try:
            stack.enter_context(cluster(None, 2))
        except ProcessError as error:
            pytest.skip(str(error))
        yield


def watched() -> list[psutil.Process]:
    """Processes with a model that live below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def test_both_engines_write_the_same_though_an_actor_is_killed(
    table: Path,
    tmp_path: Path,
    ray_cluster: None,
    poison_card: Callable[..., str],
    record_property: Callable[[str, object], None],
):
    card = poison_card(seen=str(tmp_path / "seen"))
    summary = featurize_on_ray(table, tmp_path / "ray", card, Options(id_column="id", chunk_size=10, workers=2))
    assert (tmp_path / "seen").exists()
    featurize_blocks(table, tmp_path / "local", card, Options(id_column="id", chunk_size=10))
    assert len(contents(tmp_path / "ray")) == BLOCKS
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    merged = merge_blocks(tmp_path / "ray", tmp_path / "out.parquet")
    assert summary.rows == merged.rows == 10 * BLOCKS - 4
    assert "crashed" not in summary.counts
    deadline = time.monotonic() + 60
    while watched():
        assert time.monotonic() < deadline, "a watched process is left"
        time.sleep(0.2)
    record_property("faults", ["actor of Ray killed", 1, 1, 0])


@pytest.mark.slow
def test_resumed_by_block(table: Path, tmp_path: Path, ray_cluster: None, poison_card: Callable[..., str]):
    (tmp_path / "seen").touch()
    card = poison_card(seen=str(tmp_path / "seen"))

    def stop(rows: int, fraction: float | None) -> None:
        if rows >= 30:
            raise KeyboardInterrupt

    options = Options(id_column="id", chunk_size=10, workers=1)
    with pytest.raises(KeyboardInterrupt):
        featurize_on_ray(table, tmp_path / "ray", card, options, progress=stop)
    with pytest.raises(OutputError, match="is there already"):
        featurize_on_ray(table, tmp_path / "ray", card, options)
    again = Options(id_column="id", chunk_size=10, workers=1, resume=True)
    assert featurize_on_ray(table, tmp_path / "ray", card, again).computed <= 10 * BLOCKS - 4 - 30
    assert merge_blocks(tmp_path / "ray", tmp_path / "out.parquet").rows == 10 * BLOCKS - 4


def test_a_start_that_is_given_up_leaves_no_process(monkeypatch: pytest.MonkeyPatch):
    import ray

    home, left = str(Path(ray.__file__).parent), []

    def start() -> None:
        if not left:
            for argument in (home, "not Ray's"):
                command = [sys.executable, "-c", "import time; time.sleep(600)", argument]
                left.append(psutil.Popen(command))
            raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(ray, "shutdown", lambda: None)
    _patiently(start)
    rays, other = left
    assert not rays.is_running()
    assert other.is_running()
    other.kill()
    other.wait()

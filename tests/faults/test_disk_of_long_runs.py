"""A disk that is full or forbidden under a distillation or an evaluation: a clear error, and the next run goes on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import Disk, Rights
from tiny_distillation import World, make_world

import molmv
from molmv.errors import OutputError
from molmv.verifying import verify

Record = Callable[[str, object], None]
Fault = Callable[[], object]
FAULTS = {"full": "No space left on device", "rights": "Permission denied"}


CONFIG = """name = "tiny"
output = "{run}"
teachers = ["real", "bits", "counts"]
[data]
corpus = "{corpus}"
stores = "{stores}"
held_out = 0.2
[student]
kind = "gine"
layers = 2
width = 16
embedding = 16
[loss]
hidden = 16
depth = 1
[train]
steps = 24
batch_size = 16
checkpoint_every = 4
device = "cpu"
[tracking]
mlflow = false
"""


class Place:
    """A folder that can be spoilt and mended in one of two ways."""

    def __init__(self, kind: str, disk: Disk | None, rights: Rights | None) -> None:
        self.message = FAULTS[kind]
        if rights is not None:
            self.folder, self.spoil, self.mend = rights.folder, rights.take, rights.give
        elif disk is not None:
            self.folder = disk.path
            self.spoil, self.mend = disk.fill, disk.free


@pytest.fixture(params=FAULTS)
def place(request: pytest.FixtureRequest) -> Place:
    kind: str = request.param
    if kind == "rights":
        return Place(kind, None, request.getfixturevalue("rights"))
    return Place(kind, request.getfixturevalue("disk"), None)


def after(step: int, fault: Fault) -> object:
    """A logger that lets a fault happen once, at that step of a training."""
    from lightning.pytorch.loggers import CSVLogger

    class Trap(CSVLogger):  # type: ignore[misc]
        done = False

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if not Trap.done and (step or 0) >= at:
                Trap.done = True
                fault()

        def save(self) -> None:
            pass

    at = step
    return Trap("unused")


def whole(folder: Path) -> list[Path]:
    """What is there and whole; nothing that is there is called whole and is not."""
    found = verify(folder)
    assert [f.problem for f in found if f.problem and "unfinished" not in f.problem] == []
    return [finding.path for finding in found]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    pytest.importorskip("lightning")
    return make_world(tmp_path_factory.mktemp("world"))


def test_distill(place: Place, world: World, record_property: Record):
    from molmv.distill import distill

    output = place.folder / "run"  # always the same: a student remembers where it was made
    config = world.config(output, train={"checkpoint_every": 2, "validate_every": 2})
    patterns = ("student/*", "heads.*", "summary.json", "information.json")

    def results() -> dict[str, bytes]:
        return {str(p.relative_to(output)): p.read_bytes() for pattern in patterns for p in output.glob(pattern)}

    distill(config)
    expected = results()
    for path in sorted(output.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(OutputError, match=rf"Cannot write .*{place.message}"):
        distill(config, loggers=[after(11, place.spoil)])
    place.mend()
    kept = [path for path in whole(output) if path.suffix == ".ckpt"]
    assert kept
    assert not list(output.rglob("*.tmp"))
    distill(config, resume=True)
    assert (output / "log" / "from-step-0").exists()
    assert (output / "log" / f"from-step-{int(max(kept).stem)}").exists()  # what was finished is not done again
    assert results() == expected
    record_property("faults", [f"disk {place.message.lower()}, distill", 1, 1, 0])


def assay(folder: Path) -> Path:
    rings = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CC1")
    rows = [f"{'C' * (i % 12 + 1)}O{ring},{i % 12}" for i in range(24) for ring in rings]
    path = folder / "assay.csv"
    path.write_text("smiles,size\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    return path


@pytest.mark.parametrize("cached", [True, False], ids=["results", "results and cache"])
def test_evaluate(cached: bool, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record):
    """The fault happens while the second of two models is about to be embedded, or its first head is trained."""
    pytest.importorskip("sklearn")
    pytest.importorskip("skfp")
    path, output = assay(tmp_path), place.folder / "out"
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home" if cached else place.folder / "home"))
    options = {"heads": ["linear", "knn"], "baselines": False, "concatenation": False, "plots": False}
    patterns = ("scores/**/*.csv", "strict.csv")

    def evaluate(fault: Fault = lambda: None) -> list[int]:
        seen: list[int] = []

        def progress(what: str, done: int, total: int) -> None:
            if done == 1 and 1 not in seen:
                fault()
            seen.append(done)

        models = ["maccs", "rdkit-descriptors"]
        molmv.evaluate(models, "strict", f"{path}:size", output=output, progress=progress, **options)
        return seen

    def results() -> dict[str, bytes]:
        return {str(p.relative_to(output)): p.read_bytes() for pattern in patterns for p in output.glob(pattern)}

    evaluate()
    expected = results()
    for inside in sorted(place.folder.rglob("*"), reverse=True):
        inside.rmdir() if inside.is_dir() else inside.unlink()
    with pytest.raises(OutputError, match=rf"Cannot write .*{place.message}"):
        evaluate(place.spoil)
    place.mend()
    assert len(whole(output)) == 1
    assert not list(output.rglob("*.tmp"))
    assert evaluate()[0] == 1  # what was finished is not done again
    assert results() == expected
    record_property("faults", [f"disk {place.message.lower()}, evaluate", 1, 1, 0])


@pytest.mark.parametrize("verb", ["distill", "evaluate"])
def test_read_only_from_the_start(verb: str, disk: Disk, world: World, tmp_path: Path, record_property: Record):
    from molmv.distill import distill

    jobs = {
        "distill": lambda: distill(world.config(disk.path / "run")),
        "evaluate": lambda: molmv.evaluate("maccs", tasks=f"{assay(tmp_path)}:size", output=disk.path / "out"),
    }
    disk.forbid()
    with pytest.raises(OutputError, match="Read-only file system"):
        jobs[verb]()
    record_property("faults", ["disk read-only", 1, 1, 0])


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["distill", "evaluate"])
def test_what_the_command_says(verb: str, disk: Disk, world: World, tmp_path: Path):
    disk.fill(leave=16_384)
    if verb == "distill":
        text = CONFIG.format(run=disk.path / "run", corpus=world.corpus, stores=world.stores)
        (tmp_path / "distill.toml").write_text(text)
        arguments = ["distill", str(tmp_path / "distill.toml")]
    else:
        task = f"{assay(tmp_path)}:size"
        arguments = ["evaluate", "-m", "maccs", "-t", task, "-o", str(disk.path / "out"), "--no-figures"]
    environment = {**os.environ, "MOLMV_HOME": str(disk.path / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "molmv", *arguments, "-q"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert "error: Cannot write" in run.stderr
    assert "No space left on device" in run.stderr
    disk.free()
    more = ["--resume"] if verb == "distill" else []
    again = subprocess.run([*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr

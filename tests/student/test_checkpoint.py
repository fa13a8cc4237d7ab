"""A checkpoint comes back as it went in, or is refused; nothing in it is ever executed."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molmv.errors import CheckpointError
from molmv.models import load_student
from molmv.student.checkpoint import CONFIG, WEIGHTS, Checkpoint, load_checkpoint, save_checkpoint


def example() -> Checkpoint:
    weights = {"a": torch.randn(3, 4), "b.c": torch.arange(5), "d": torch.randn(4, 6).T, "e": torch.zeros(())}
    provenance = {"teachers": {"ecfp": {"licence": "BSD-3-Clause"}}, "held_out": {"loss": 0.1}, "name": "Åsa β"}
    return Checkpoint("tiny", "gine", {"layers": 2, "pooling": ("mean", "max")}, provenance, weights)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(example(), tmp_path / "student")
    return tmp_path / "student"


def test_round_trip(tmp_path: Path):
    written = example()
    save_checkpoint(written, tmp_path)
    read = load_checkpoint(tmp_path)
    assert (read.name, read.kind, read.provenance) == (written.name, written.kind, written.provenance)
    assert read.config == {"layers": 2, "pooling": ["mean", "max"]}
    assert read.weights.keys() == written.weights.keys()
    for name, tensor in written.weights.items():
        assert torch.equal(read.weights[name], tensor)
        assert read.weights[name].dtype == tensor.dtype
    assert read.digest == hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


def test_same_content_same_files(tmp_path: Path):
    checkpoint = example()
    for name in "ab":
        save_checkpoint(checkpoint, tmp_path / name)
    for file in (CONFIG, WEIGHTS):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit_is_refused(tmp_path_factory: pytest.TempPathFactory, file: str, place: float, bit: int):
    folder = tmp_path_factory.mktemp("flipped")
    save_checkpoint(example(), folder)
    data = bytearray((folder / file).read_bytes())
    position = int(place * len(data))
    if file == CONFIG and chr(data[position]).isspace():
        return  # JSON between its words means nothing
    data[position] ^= 1 << bit
    (folder / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=file):
        load_checkpoint(folder)


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("size", [0, 1, 40])
def test_truncated_file_is_refused(folder: Path, file: str, size: int):
    os.truncate(folder / file, size)
    with pytest.raises(CheckpointError, match=file):
        load_checkpoint(folder)


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_missing_file_is_named(folder: Path, file: str):
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=f"{file} is missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_folder_in_place_of_a_file_is_refused(folder: Path, file: str):
    (folder / file).unlink()
    (folder / file).mkdir()
    with pytest.raises(CheckpointError, match=file):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"format": 2}', '{"format": "1"}'])
def test_other_format_is_refused(folder: Path, content: str):
    (folder / CONFIG).write_text(content)
    with pytest.raises(CheckpointError, match=rf"{CONFIG}.*: expected (checkpoint format 1|a JSON object)"):
        load_checkpoint(folder)


def test_config_of_another_student_is_refused(folder: Path, tmp_path: Path):
    save_checkpoint(example(), tmp_path / "other")  # other random weights
    (tmp_path / "other" / CONFIG).replace(folder / CONFIG)
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} was changed"):
        load_checkpoint(folder)


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def forge(folder: Path, data: bytes) -> None:
    """Exchange the weights and make all hashes fit, as one can who knows the format."""
    content = json.loads((folder / CONFIG).read_text())
    content.pop("config_digest")
    content["digest"] = hashlib.sha256(data).hexdigest()
    content["config_digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / CONFIG).write_text(json.dumps(content))
    (folder / WEIGHTS).write_bytes(data)


@pytest.mark.parametrize("hashes_fit", [False, True])
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_pickle_is_not_executed(folder: Path, tmp_path: Path, kind: str, hashes_fit: bool):
    trace, file = tmp_path / "executed", tmp_path / "evil"
    evil = Evil(trace)
    if kind == "torch":
        torch.save({"a": evil}, file)
    else:
        file.write_bytes(pickle.dumps(evil))
    if hashes_fit:
        forge(folder, file.read_bytes())
    else:
        (folder / WEIGHTS).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=WEIGHTS):
        load_student(folder)
    assert not trace.exists()
    pickle.loads(pickle.dumps(evil))
    assert trace.exists()  # it would have shown


def test_forged_config_without_a_field_is_refused(folder: Path):
    content = {"format": 1, "name": "tiny", "digest": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}
    content["config_digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="kind, config, provenance"):
        load_checkpoint(folder)


def test_loading_and_embedding_import_no_compiler():
    """torch's takes a second, and nothing here is compiled."""
    code = (
        "import sys; from molmv.models import load_student; s = load_student('molmv-small', device='cpu');"
        "s.embed(s.screen(['CCO'])); print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

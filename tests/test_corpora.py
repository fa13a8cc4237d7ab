"""The corpus of a released student can be drawn again, line by line."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

SMILES = ["C" * (1 + k % 40) + "O" * (1 + k // 40) for k in range(200)]


@pytest.fixture
def sample(root: Path, tmp_path: Path):
    """Runs the script on 200 different lines; gives the process and its output file."""
    source = tmp_path / "source.smi"
    source.write_text("\n".join(SMILES) + "\n")
    with gzip.open(tmp_path / "source.smi.gz", "wt") as file:
        file.write("\n".join(SMILES) + "\n\n")  # a blank line is no molecule

    def run(*arguments: str, output: str = "out/corpus.smi", source: str = "source.smi"):
        command = [sys.executable, root / "corpora" / "sample.py", source, *arguments, "-o", output]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False), tmp_path / output

    return run


def test_draws_without_replacement_and_shuffled(sample):
    process, output = sample("-n", "150")
    lines = output.read_text().splitlines()
    assert process.returncode == 0
    assert len(lines) == len(set(lines)) == 150
    assert set(lines) < set(SMILES)
    assert lines != sorted(lines, key=SMILES.index)


def test_all_of_them(sample):
    _, output = sample("-n", "200")
    assert sorted(output.read_text().splitlines()) == sorted(SMILES)


def test_same_seed_same_file(sample):
    """Whether the source is gzipped or not; and the hash that is printed is the file's."""
    first, output = sample("-n", "50", "--seed", "3")
    data = output.read_bytes()
    assert hashlib.sha256(data).hexdigest() in first.stdout
    assert sample("-n", "50", "--seed", "3", output="again.smi", source="source.smi.gz")[1].read_bytes() == data
    assert sample("-n", "50", "--seed", "4", output="other.smi")[1].read_bytes() != data


def test_more_than_there_are_is_refused(sample):
    process, output = sample("-n", "201")
    assert process.returncode == 2
    assert "source.smi has 200 molecules, 201 were asked for" in process.stderr
    assert not output.exists()


def test_recipe_names_the_file_that_the_config_trains_on(root: Path):
    recipe = (root / "corpora" / "README.md").read_text(encoding="utf-8")
    assert "-o build/corpus.smi" in recipe
    assert 'corpus = "build/corpus.smi"' in (root / "configs" / "molmv-small.toml").read_text(encoding="utf-8")


def test_released_students_were_trained_on_the_corpus_of_the_recipe(root: Path):
    from molmv.models import student_folder
    from molmv.student.checkpoint import load_checkpoint, trainings

    if not (student_folder() / "molmv-small").is_dir():
        pytest.skip("molmv-small is not released")
    recipe = (root / "corpora" / "README.md").read_text(encoding="utf-8")
    for about in trainings(load_checkpoint(student_folder() / "molmv-small").provenance):
        assert about["corpus"]["sha256"] in recipe

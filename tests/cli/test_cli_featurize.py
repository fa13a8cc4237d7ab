"""`molmv featurize`: exit codes, streams, one line for each error, and what is left after a kill."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder

import molmv
from molmv.featurizing import featurize_file
from molmv.results import load_embeddings


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """100 rows, two of them bad."""
    smiles = ["C" * (i % 50 + 1) for i in range(100)]
    smiles[7], smiles[70] = "", "c1ccccc"
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,smiles", *(f"M{i},{text}" for i, text in enumerate(smiles)), ""]))
    return path


def test_the_main_job(molmv_cli, table: Path):
    run = molmv_cli("featurize", table, "--id-column", "id")
    assert run.exit_code == 0
    assert run.stdout == ""
    assert re.fullmatch(
        r"100 rows: 98 ok, 1 empty, 1 invalid; \d+\.\d s; \d+ molecules/s -> in_embeddings\.parquet\n", run.stderr
    )
    result = load_embeddings("in_embeddings.parquet")
    assert (len(result), result.id_column, result.provenance["model"]) == (100, "id", "molmv-small")
    assert result.valid.sum() == 98


def test_every_option_arrives(molmv_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "in.csv").write_text("key,structure,smiles\nA,CCO,x\nB,CCN,y\n")
    seen = []

    def load(*args: object, **kwargs: object) -> FakeEmbedder:
        seen.append((args, kwargs))
        return FakeEmbedder()

    monkeypatch.setattr(molmv.models, "load_embedder", load)
    options = ["-o", "e.csv", "--model", "ecfp", "-s", "structure", "--id-column", "key", "-b", "7", "--device", "cpu"]
    run = molmv_cli("featurize", "in.csv", *options, "--chunk-size", "1", "--strict", "-q", "--dtype", "float16")
    assert (run.exit_code, run.output) == (0, "")
    assert seen == [(("ecfp",), {"device": "cpu", "batch_size": 7})]
    result = load_embeddings("e.csv")
    assert (result.smiles, result.ids, result.id_column) == (["CCO", "CCN"], ["A", "B"], "key")
    assert molmv_cli("featurize", "in.csv", *options, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("name", "out"),
    [("lib.csv", "lib"), ("lib.smi.gz", "lib"), ("a.b.csv", "a.b"), ("sub/lib.csv", "lib"), ("-", "stdin")],
)
def test_default_output_is_in_the_folder_one_is_in(name: str, out: str):
    from molmv.cli.featurize import default_out

    assert default_out(name) == f"{out}_embeddings.parquet"


def test_stdin(start_molmv, tmp_path: Path):
    process = start_molmv("featurize", "-", "-o", "e.npz")
    stdout, stderr = process.communicate("CCO a\nCCN b\n")
    assert (process.returncode, stdout) == (0, ""), stderr
    assert load_embeddings(tmp_path / "e.npz").ids == ["a", "b"]


# Bad input ------------------------------------------------------------------------------------------------------------

FILES = {
    "no_column.csv": b"id,structure\nA,CCO\n",
    "two.csv": b"smiles,canonical_smiles\nC,C\n",
    "no_header.csv": b"CCO\nCCN\n",
    "binary.csv": bytes(range(256)) * 40,
    "truncated.csv.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
    "latin1.csv": b"smiles\nCCO\ncaf\xe9\n",
    "empty.csv": b"",
}


@pytest.mark.parametrize("name", [*FILES, "gone.csv", "folder", "line\nbreak.csv"])
def test_bad_file_is_one_line_and_exit_2(molmv_cli, tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    if name in FILES:
        (tmp_path / name).write_bytes(FILES[name])
    run = molmv_cli("featurize", name, "-o", "out.parquet")
    assert run.exit_code == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert name.replace("\n", " ") in run.stderr
    assert run.stderr.rstrip().endswith(".")
    assert not list(tmp_path.glob("out*"))


def test_output_that_exists(molmv_cli, table: Path):
    assert molmv_cli("featurize", table).exit_code == 0
    run = molmv_cli("featurize", table)
    assert run.exit_code == 2
    assert "in_embeddings.parquet exists. Replace it with --overwrite" in run.stderr
    assert molmv_cli("featurize", table, "--overwrite").exit_code == 0
    assert molmv_cli("featurize", table, "--resume").exit_code == 0


def test_output_that_is_the_input(molmv_cli, table: Path):
    run = molmv_cli("featurize", "in.csv", "-o", table, "--overwrite")
    assert (run.exit_code, run.stderr) == (2, f"error: {table} is the input. Choose another name: the input is never "
                                              "overwritten.\n")  # fmt: skip


def test_strict(molmv_cli, table: Path, tmp_path: Path):
    run = molmv_cli("featurize", table, "--strict")
    assert run.exit_code == 3
    assert run.stderr.startswith("error: Row 7 is refused: empty SMILES (and 1 more in the 100 rows from 0).")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("arguments", [["featurize"], ["featurize", "a", "b"], ["featurize", "a", "-b", "0"], ["fly"]])
def test_wrong_usage_is_exit_2(molmv_cli, arguments: list[str]):
    run = molmv_cli(*arguments)
    assert run.exit_code == 2
    assert "Usage" in run.stderr


def test_smiles_are_no_markup(molmv_cli, tmp_path: Path):
    (tmp_path / "in.csv").write_text("smiles\n[red]:smile:[/red]\n")
    assert "[red]:smile:[/red]" in molmv_cli("featurize", "in.csv", "--strict").stderr


def test_version_and_help(molmv_cli):
    assert molmv_cli("--version").stdout == f"molmv {molmv.__version__}\n"
    assert "featurize" in molmv_cli("--help").stdout
    text = molmv_cli("featurize", "--help").stdout
    assert all(option in text for option in ("--model", "--resume", "--strict", "--id-column"))
    assert "molmv featurize smiles.csv" in text


# Interruptions --------------------------------------------------------------------------------------------------------


def wait_for_parts(out: Path, number: int, process: subprocess.Popen) -> None:
    manifest = Path(f"{out}.parts") / "manifest.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if manifest.exists() and len(json.loads(manifest.read_text())["parts"]) >= number:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("no parts")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("extension", ["parquet", "csv", "npz"])
def test_killed_and_resumed(start_molmv, molmv_cli, table: Path, tmp_path: Path, extension: str):
    out, whole = tmp_path / f"out.{extension}", tmp_path / f"whole.{extension}"
    featurize_file(table, whole, FakeEmbedder(), chunk_size=10)
    process = start_molmv("featurize", table, "-o", out, "--chunk-size", 10)
    wait_for_parts(out, 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    summary = featurize_file(table, out, FakeEmbedder(), chunk_size=10, resume=True)
    assert 0 < summary.computed <= 80
    assert out.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "embedding", out.name, whole.name}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for another process")
def test_ctrl_c(start_molmv, table: Path, tmp_path: Path):
    process = start_molmv("featurize", table, "-o", "out.parquet", "--chunk-size", 10)
    wait_for_parts(tmp_path / "out.parquet", 1, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == (
        "interrupted; finished chunks are kept in out.parquet.parts: go on with the same command and --resume\n"
    )
    summary = featurize_file(table, tmp_path / "out.parquet", FakeEmbedder(), chunk_size=10, resume=True)
    assert summary.computed < 100
    assert len(load_embeddings(tmp_path / "out.parquet")) == 100


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for another process")
def test_ctrl_c_before_the_first_chunk(start_molmv, tmp_path: Path):
    (tmp_path / "in.csv").write_text("smiles\nCCO\n")
    process = start_molmv("featurize", "in.csv", "-o", "out.parquet", seconds=100)
    while not (tmp_path / "embedding").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (130, "interrupted; nothing was written\n")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "embedding"}

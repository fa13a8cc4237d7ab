"""`molmv verify` and `molmv merge`: exit codes, and the name of what is damaged."""

import json
from pathlib import Path

import pytest

from molmv.errors import InputError
from molmv.limits import Limits
from molmv.results import load_embeddings

MODEL = ("--model", "rdkit-descriptors", "--chunk-size", "5")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("smiles\n" + "\n".join("C" * (i + 1) for i in range(12)) + "\n")
    return tmp_path / "in.csv"


def test_shards_merge_and_verify(molmv_cli, table: Path, tmp_path: Path):
    for shard in ("2/2", "1/2"):
        run = molmv_cli("featurize", table, "-o", "blocks", "--shard", shard, *MODEL)
        assert run.exit_code == 0, run.stderr
    assert run.stderr.endswith("-> blocks\n")
    run = molmv_cli("verify", "blocks")
    assert (run.exit_code, run.stdout) == (0, "ok      blocks: blocks, 3 blocks, 12 rows\n")
    assert molmv_cli("merge", "blocks", "-o", "out.parquet", "-q").exit_code == 0
    assert len(load_embeddings(tmp_path / "out.parquet")) == 12
    (tmp_path / "blocks" / "in.csv-000001.parquet").write_bytes(b"no")
    run = molmv_cli("verify", "blocks", "out.parquet", "--json")
    problems = [found["problem"] for found in json.loads(run.stdout)]
    assert run.exit_code == 1
    assert "in.csv-000001.parquet was changed" in problems[0]
    assert problems[1] == ""
    run = molmv_cli("merge", "blocks", "-o", "out.parquet", "--overwrite")
    assert run.exit_code == 2
    assert "in.csv-000001.parquet was changed" in run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "3/2"), "Expected a shard like 3/8"),
        (("--shard", "1/2", "--strict"), "--strict is for one file"),
        (("--engine", "spark"), "No engine is called 'spark'"),
        (("--address", "auto", "--shard", "1/1"), "--address is for --engine ray"),
        (("--memory-limit", "0"), "a number above 0"),
    ],
)
def test_what_does_not_go_together(molmv_cli, table: Path, options: tuple[str, ...], message: str):
    run = molmv_cli("featurize", table, "-o", "blocks", *options)
    assert run.exit_code == 2
    assert message in run.stderr


def test_nothing_to_verify(molmv_cli, tmp_path: Path):
    run = molmv_cli("verify", tmp_path)
    assert run.exit_code == 2
    assert "nothing here that molmv wrote" in run.stderr


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": float("nan")}, {"gibibytes": -1}])
def test_impossible_limits(limits: dict[str, float]):
    with pytest.raises(InputError, match="above 0"):
        Limits(**limits)

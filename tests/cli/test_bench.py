"""`molmv bench` times every stage once, names the slowest, and adds up."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from molmv.bench import Bench, bench
from molmv.cli import app
from molmv.errors import InputError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "in.csv"
    path.write_text("smiles\n" + "CCO\nbad\nc1ccccc1\n" * 20)
    return str(path)


def test_stages_of_a_student(table: str):
    found = json.loads(run(table, "-m", "molmv-small", "-n", "50", "--for", "1000", "--json"))
    assert list(found["stages_s"]) == ["read", "screen", "parse", "network", "write"]
    assert all(seconds > 0 for seconds in found["stages_s"].values())
    whole = sum(found["stages_s"].values())
    assert found["rows"] == 50
    assert found["molecules_per_s"] == pytest.approx(50 / whole)
    assert found["estimate"]["seconds"] == pytest.approx(found["loading_s"] + 1000 / 50 * whole)
    assert found["bottleneck"] == max(found["stages_s"], key=found["stages_s"].get)


def test_stages_of_a_teacher(table: str):
    assert list(bench("rdkit-descriptors", table, rows=6).stages) == ["read", "screen", "embed", "write"]


def test_text_without_a_file():
    text = run("-n", "100")
    assert "molmv-small, 100 molecules of made-up molecules" in text
    assert text.count("<- bottleneck") == 1
    assert "1,000,000 molecules like these" in text


def test_lines():
    lines = Bench("m", "f.csv", 100, 2.0, {"read": 0.1, "network": 0.3}).lines(10_000)
    assert lines[2:5] == [
        "read              1,000    25.0%",
        "network             333    75.0%   <- bottleneck",
        "together            250",
    ]
    assert lines[5].startswith("10,000 molecules like these: 0:00:42;")


def test_no_rows(tmp_path: Path):
    (tmp_path / "in.csv").write_text("smiles\n")
    with pytest.raises(InputError, match="no rows"):
        bench("molmv-small", tmp_path / "in.csv")

"""`molmv evaluate`, as a user types it."""

import pytest
from typer.testing import CliRunner

from molmv.cli import app


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["evaluate", *arguments])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "assay.csv"
    smiles = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("c1ccccc1", "C1CCCCC1", "O", "N")]
    path.write_text("smiles,y\n" + "\n".join(f"{s},{len(s)}" for s in smiles) + "\n")
    return path


def test_baselines_on_a_users_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr("molmv.evaluate.protocols.strict.REPEATS", 1)
    arguments = ("-t", f"{table}:y", "--head", "knn", "-o", str(tmp_path / "out"), "--no-figures")
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "| rdkit-descriptors |" in result.output or "| **rdkit-descriptors** |" in result.output
    assert (tmp_path / "out" / "strict.csv").is_file()
    assert invoke(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-t", "nothing.csv:y"), "There is no file nothing.csv"),
        (("-t", "TABLE:z"), "no column 'z'"),
        (("-p", "other"), "No protocol is called 'other'"),
        (("-t", "TABLE:y", "--censored", "guess"), "Use one of refuse, drop, keep-bound"),
        (("-m", "nobody", "-t", "TABLE:y"), "No model is called 'nobody'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(table, tmp_path, arguments, message):
    result = invoke(*(a.replace("TABLE", str(table)) for a in arguments), "-o", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output

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


def test_a_warning_is_a_line_without_the_place_in_our_code(table, tmp_path, monkeypatch):
    monkeypatch.setattr("molmv.evaluate.protocols.strict.REPEATS", 1)
    few = tmp_path / "few.csv"
    few.write_text(
        table.read_text().partition("\n")[0]
        + "\n"
        + "".join(f"{'C' * n}O,{int(n < 3)}\n{'C' * n}c1ccccc1,0\n" for n in range(1, 20))
    )
    result = invoke(
        "-t", f"{few}:y", "-t", f"{table}:y", "--head", "linear", "-o", str(tmp_path / "out"), "--no-figures"
    )
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if "fewer than 5 folds" in line)
    assert line.startswith("warning: ")

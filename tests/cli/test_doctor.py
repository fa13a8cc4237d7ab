"""`molmv doctor` tells what is here without loading any of it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from molmv import doctor as module
from molmv.availability import Availability
from molmv.cards import card_names
from molmv.checking import FAILED, Check
from molmv.cli import app
from molmv.models import student_names


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["doctor", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_tells_versions_extras_and_teachers():
    found = json.loads(run("--json"))
    assert {"molmv", "python", "torch", "rdkit", "device", "threads", "graphs", "cache", "mirror"} <= set(
        found["system"]
    )
    assert found["students"] == list(student_names())
    assert set(found["teachers"]) == set(card_names())
    assert found["teachers"]["rdkit-descriptors"] == {
        "state": "here",
        "fix": "",
        "packages": "installed",
        "weights": "computed",
    }
    assert {"fingerprints", "pyg", "distill"} <= set(found["extras"])
    assert not {"all", "dev"} & set(found["extras"])


def test_what_is_not_here_has_a_fix_on_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    lines = run().splitlines()
    assert f"{'cache':12}{tmp_path / 'home'}" in lines
    (line,) = [line for line in lines if line.split()[:1] == ["pretrain-gnn-gcn-contextpred"]]
    if "not installed" in line:
        assert 'pip install "molmv[pyg]"' in line
    else:
        assert "its weights are not on this machine. " in line
        assert "gcn_contextpred.pth (sha256 ff1d9c5e" in line
        assert f"at {tmp_path / 'home' / 'weights'}" in line


def test_load_tells_what_loading_told(monkeypatch: pytest.MonkeyPatch):
    def pretend(name: str) -> Check:
        return Check(name, FAILED, "its process died", "Buy memory.") if name == "ecfp" else Check(name, "ok")

    monkeypatch.setattr(module, "check_apart", pretend)
    monkeypatch.setattr(module, "availability", lambda card: Availability("installed", "computed"))
    found = json.loads(run("--load", "--json"))["teachers"]
    assert (found["ecfp"]["state"], found["ecfp"]["fix"]) == ("its process died", "Buy memory.")
    assert (found["maccs"]["state"], found["maccs"]["fix"]) == ("loads", "")

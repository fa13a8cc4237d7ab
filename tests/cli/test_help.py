"""What the command line says to those who ask, mistype, or press the tab key."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from typer.main import get_command

from molmv.cli import app

MOLMV = Path(sys.executable).parent / "molmv"


def verbs(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by what one types."""
    for name, child in getattr(command, "commands", {}).items():
        yield from verbs(child, (*path, name)) if hasattr(child, "commands") else [(" ".join((*path, name)), child)]


VERBS = dict(verbs(get_command(app)))


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example_of_the_verb(verb: str):
    text = VERBS[verb].help or ""
    assert "**Example" in text
    assert f"molmv {verb}" in text.partition("**Example")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_the_verb_is_explained(verb: str):
    bare = [param.name for param in VERBS[verb].params if not getattr(param, "help", None) and param.name != "help"]
    assert bare == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["featurise", "x.csv"], "'featurize'"),
        (["teachers", "shwo", "ecfp"], "'show'"),
        (["featurize", "x.csv", "--modle", "ecfp"], "--model"),
        (["evaluate", "-p", "stric"], "'strict'"),
        (["evaluate", "-m", "ecfp", "-t", "HERG_"], "'hERG'"),
        (["teachers", "show", "MiniMole"], "'minimol'"),
        (["export", "molmv-smal"], "'molmv-small'"),
    ],
    ids=" ".join,
)
def test_mistyped_name_is_answered_by_the_nearest(typed: list[str], meant: str, molmv_cli):
    result = molmv_cli(*typed)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "Did you mean" in said or "Possible options" in said
    assert meant in said


def test_mistyped_model_and_column(tmp_path: Path, library: Path):
    from molmv.errors import InputError, UnknownNameError
    from molmv.models import load_embedder
    from molmv.table import open_table

    with pytest.raises(UnknownNameError, match=r"Did you mean 'molmv-base'\?"):
        load_embedder("molmv-bse")
    with pytest.raises(InputError, match=r"Did you mean 'mol_weight'\?"):
        open_table(library, "molweight")


def complete(words: str, **more: str) -> str:
    """What the shell is told when somebody presses the tab key."""
    asked = {"_MOLMV_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), **more}
    return subprocess.run([MOLMV], env={**os.environ, **asked}, capture_output=True, text=True).stdout


def test_tab_completes_verbs_and_options():
    assert complete("molmv feat").split() == ["featurize"]
    assert {"embed", "list", "rank"} <= set(complete("molmv teachers ").split())
    assert "--chunk-size" in complete("molmv featurize --ch").split()


def test_completion_is_shown():
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [MOLMV, "--show-completion", "bash"], env=environment, capture_output=True, text=True, check=True
    )
    assert "_MOLMV_COMPLETE=complete_bash" in done.stdout

"""The site of the documentation, and the commands on its pages."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from molmv.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands() -> list[tuple[str, ...]]:
    """Verbs and options of every command of molmv in a block, or in a table of wishes."""
    found = set()
    for page in [*PAGES, ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        lines = [
            line
            for block in re.findall(r"^ *```(?:text)?\n(.*?)^ *```$", text, re.M | re.S)
            for line in block.splitlines()
        ]
        lines += re.findall(r"`(molmv [^`]*)`", text) if page.name == "wishes.md" else []
        for line in lines:
            if line.strip().startswith("molmv "):
                words = shlex.split(line.strip(), comments=True)[1:]
                verbs = [word for word in words[: 1 + (words[0] == "teachers")] if not word.startswith("-")]
                found.add((*verbs, *sorted({word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)})))
    return sorted(found)


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    assert sorted(re.findall(r"([\w-]+\.md)", navigation)) == [page.name for page in PAGES]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_command_and_its_options_exist(command: tuple[str, ...]):
    known = get_command(app)
    for verb in (word for word in command if not word.startswith("-")):
        assert verb in known.commands, f"{verb} is no command of {known.name}"
        known = known.commands[verb]
    options = {"--help", "-h"} | {name for param in known.params for name in (*param.opts, *param.secondary_opts)}
    assert {word for word in command if word.startswith("-")} - {"--install-completion"} <= options


def test_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")

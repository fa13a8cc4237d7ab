"""Names that hold markup, control characters or formulas: shown as text in pages, tables and on the terminal."""

import re
import sys

import numpy as np
import pytest

from molmv import molecules, plots
from molmv.cli import terminal
from molmv.errors import InputError
from molmv.evaluate.tables import markdown

EVIL = "</script><script>window.hacked=1</script><img src=x onerror=alert(1)>\"'&|\n{{datum}}"


@pytest.fixture
def chart():
    altair = pytest.importorskip("altair")
    values = [{"teacher": EVIL, "nats": 1.0}, {"teacher": "b", "nats": 2.0}]
    return altair.Chart(altair.Data(values=values), title=EVIL).mark_bar().encode(x="nats:Q", y="teacher:N")


def test_a_page_of_one_chart_holds_no_script_of_a_name(chart, tmp_path):
    plots.save(chart, tmp_path / "chart.html", tmp_path / "chart.svg")
    page, picture = ((tmp_path / f"chart.{ending}").read_text() for ending in ("html", "svg"))
    assert "<script>window" not in page
    assert "<img" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert page.count("<script") - plots.javascript().count("<script") == 3
    assert "default-src 'none'" in page
    assert "<script" not in picture
    assert "<img" not in picture


def test_a_cell_of_markdown_stays_one():
    text = markdown(("model", "mean"), [(EVIL, 1.0)])
    assert len(text.splitlines()) == 3
    assert "<" not in text
    assert len(re.findall(r"(?<!\\)\|", text.splitlines()[2])) == 3


@pytest.mark.parametrize("tty", [True, False])
def test_a_terminal_is_not_driven_by_a_name(tty, capsys, monkeypatch):
    evil = "name\x1b]0;owned\x07\x1b[2J\x9b1m\rok"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
    terminal.show(evil)
    terminal.show_table(("a",), [(evil,)])
    terminal.note(evil)
    terminal.error(InputError(evil, evil))
    out, err = capsys.readouterr()
    assert ("\x1b" not in out) is tty  # another program gets what is there
    assert not re.search(r"[\x07\x9b\r]|\x1b\]|\x1b\[2J", err)
    assert r"\x1b[2J" in err


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_no_molecule_begins_like_a_formula(first, library):
    """So in a CSV only ids and refused rows can: SECURITY.md."""
    smiles = [line.split(",")[1] for line in library.read_text().splitlines()[1:200]]
    rows = molecules.screen([first + text for text in smiles])
    mols = molecules.parse(rows)
    kept = [text for text, mol in zip(rows.inputs, mols, strict=True) if mol is not None]
    assert [text for text in kept if text.startswith(first)] == []


def test_reasons_do_not_begin_like_a_formula():
    rows = molecules.screen(["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "", None, "C C"])
    molecules.parse(rows)
    assert np.all([reason[:1].isalnum() for reason in rows.reason])

"""The notebooks run, and what is committed of them is small, whole and of no machine in particular."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = ("1-", "2-")


def slow_ones(path: Path) -> list[pytest.MarkDecorator]:
    return [] if path.name.startswith(QUICK) else [pytest.mark.slow]


@pytest.mark.parametrize("notebook", [pytest.param(path, id=path.stem, marks=slow_ones(path)) for path in NOTEBOOKS])
def test_notebook_runs(notebook: Path, tmp_path: Path):
    """In a copy of the folder: a notebook writes beside itself."""
    copy = shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("out"))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "execute.py", notebook.name, "-o", str(tmp_path / "done")],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "done" / notebook.name).is_file()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed(notebook: Path):
    assert notebook.stat().st_size < 300_000
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run `make notebooks`"
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]
    linked = re.findall(r"\]\(([^)#:]+)\)", "\n".join("".join(cell["source"]) for cell in cells))
    assert [link for link in linked if not (notebook.parent / link).exists()] == []


def test_every_notebook_is_on_its_page():
    page = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    assert [path.name for path in NOTEBOOKS if f"notebooks/{path.name}" not in page] == []

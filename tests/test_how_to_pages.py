"""Every code block of the how-to pages of other tools runs, in order, in a folder with the files that the page names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["scikit-learn"]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block; a shell block has none."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "docs" / f"{page}.md").read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str, tmp_path: Path, shared_data: Path):
    source = (shared_data / "tdc" / "Caco2_Wang.csv").read_text().splitlines(keepends=True)
    (tmp_path / "assay.csv").write_text("".join(source[:200]))
    shutil.copy(ROOT / "examples" / "library.csv", tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for language, text in blocks(page):
        # A page reads from top to bottom, so each Python block may use the names of those before.
        earlier = "".join(code for kind, code in blocks(page) if kind == "python").partition(text)[0]
        command = [sys.executable, "-c", earlier + text] if language == "python" else ["bash", "-euc", text]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, f"{text}\n{run.stdout[-1000:]}\n{run.stderr[-2000:]}"

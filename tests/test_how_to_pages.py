"""Every code block of the pages about other tools runs, in order, in a folder with the files that the page names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["scikit-learn", "onnx", "neighbours", "mlflow", "deepchem", "hugging-face"]


def script(page: str) -> str:
    """The blocks of a page as one program: Python as it stands, commands (no language) by the shell, ``text`` not."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shell = "import subprocess\nsubprocess.run(['bash', '-euc', {!r}], check=True)\n"
    return "".join({"python": code, "": shell.format(code)}.get(language, "") for language, code in found)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str, tmp_path: Path, shared_data: Path):
    assay = (shared_data / "tdc" / "Caco2_Wang.csv").read_text().splitlines(keepends=True)
    (tmp_path / "assay.csv").write_text("".join(assay[:200]))
    shutil.copy(ROOT / "examples" / "library.csv", tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        [sys.executable, "-c", script(page)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, f"{run.stdout[-1000:]}\n{run.stderr[-3000:]}"

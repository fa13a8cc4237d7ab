"""Execute notebooks and keep their outputs, without what changes from run to run.

    python notebooks/execute.py                         # all of them, in place: `make notebooks`
    python notebooks/execute.py 1-look-at-your-library.ipynb -o build/notebooks

A notebook runs in its own folder. An output that names a folder of this machine is an error: it would be committed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TIMEOUT = 1800  # seconds a cell may take on a busy machine
ABSOLUTE = re.compile(r"(?<![\w./])/(?:home|root|tmp|work|Users|usr|var|opt)/")


def execute(source: Path, target: Path) -> None:
    """Run a notebook in its folder and write it, with outputs, to ``target``."""
    notebook = nbformat.read(source, as_version=4)
    # The `molmv` of a shell cell is the one of this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    resources = {"metadata": {"path": str(source.parent)}}
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=resources).execute()
    clean(notebook)
    found = ABSOLUTE.search(str([cell.get("outputs") for cell in notebook.cells]))
    if found:
        raise SystemExit(f"{source.name}: an output names a folder of this machine ({found[0]})")
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Drop times, progress and the version of Python, so that a second run gives a small difference."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]


def main() -> None:
    """Reads which notebooks from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="[default: all]")
    parser.add_argument("-o", "--output", type=Path, help="folder of the results. [default: in place]")
    options = parser.parse_args()
    for path in options.notebooks or sorted(HERE.glob("*.ipynb")):
        source = path if path.exists() else HERE / path
        execute(source, options.output / path.name if options.output else source)
        print(path.name)


if __name__ == "__main__":
    main()

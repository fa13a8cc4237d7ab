"""`import molmv` and the light commands stay light: each is run in a fresh interpreter."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"deepchem", "lightning", "mlflow", "onnxruntime", "pandas", "rdkit", "sklearn", "torch", "torch_geometric"}
SHOW = "import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"


def modules_after(code: str) -> set[str]:
    """Top-level modules that a new interpreter holds after running the code."""
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
    assert not modules_after("import molmv") & (HEAVY | {"numpy", "pyarrow"})


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
    assert not modules_after(command(*arguments)) & HEAVY


@pytest.mark.skipif(os.name != "posix", reason="measures the child's processor time")
@pytest.mark.parametrize("arguments", [("--help",), ("teachers", "list")])
def test_command_is_fast(arguments: tuple[str, ...]):
    """Processor time, best of three: other work on the machine does not count."""
    import resource

    def seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    taken = []
    for _ in range(3):
        before = seconds()
        subprocess.run([sys.executable, "-c", command(*arguments)], capture_output=True, check=True)
        taken.append(seconds() - before)
    assert min(taken) < 0.5

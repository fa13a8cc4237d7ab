"""An object that leaves a trace when it is unpickled takes the place of every file that is read; none leaves one."""

import ast
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import KINDS, Evil

from molmv.errors import InputError, MolmvError

ROOT = Path(__file__).parent.parent


def payloads(trace: Path) -> dict[str, bytes]:
    """An evil object as pickle writes it, torch (also before its archives), numpy, and a zip with other names."""
    evil, found = Evil(trace), {}
    found["pickle"] = pickle.dumps(evil)
    for name, new in (("torch", True), ("old torch", False)):
        torch.save({"state_dict": evil, "w": torch.zeros(2)}, file := io.BytesIO(), _use_new_zipfile_serialization=new)
        found[name] = file.getvalue()
    np.save(file := io.BytesIO(), np.array([evil], dtype=object), allow_pickle=True)
    found["npy"] = file.getvalue()
    np.savez(file := io.BytesIO(), X=np.array([[evil]], dtype=object), keys=np.array([evil], dtype=object))
    found["npz"] = file.getvalue()
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for name in ("data.pkl", "molmv.json", "rows.csv", "archive/data.pkl", "X.npy"):
            archive.writestr(name, pickle.dumps(evil))
    found["zip"] = file.getvalue()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_unpickled(kind: str, tmp_path: Path):
    trace = tmp_path / "trace"
    for name, payload in payloads(trace).items():
        folder = tmp_path / name
        folder.mkdir()
        target = KINDS[kind](folder)
        if target.whole:
            target.read()
        target.file.write_bytes(payload)
        target.reseal()
        try:
            with (
                pytest.warns(UserWarning, match="damaged")
                if kind == "training checkpoint"
                else pytest.raises(MolmvError)
            ):
                target.read()
        except pytest.fail.Exception:
            assert kind == "evaluate cache"  # it drops a damaged part, and embeds again
        assert not trace.exists(), name


def test_the_objects_are_evil(tmp_path: Path):
    trace = tmp_path / "trace"
    for name, payload in payloads(trace).items():
        if name in ("pickle", "torch", "npy"):
            open_it = {"pickle": pickle.load, "torch": lambda f: torch.load(f, weights_only=False)}.get(
                name, lambda f: np.load(f, allow_pickle=True)
            )
            open_it(io.BytesIO(payload))
            assert trace.is_dir()
            trace.rmdir()


def test_a_student_from_mlflow_runs_no_code_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # MLflow leaves a folder there
    pytest.importorskip("mlflow")
    from mlflow import pyfunc as theirs

    from molmv import pyfunc

    trace = tmp_path / "trace"
    pyfunc.save_model("molmv-small", tmp_path / "script")
    (script,) = (tmp_path / "script").glob("*.py")
    script.write_text(f"import os; os.mkdir({str(trace)!r})\n" + script.read_text())
    assert len(pyfunc.load_model(tmp_path / "script").predict({"smiles": ["C"]})) == 1
    assert not trace.exists()
    theirs.load_model(str(tmp_path / "script"))
    assert trace.is_dir()  # it would have shown
    trace.rmdir()

    class Model(theirs.PythonModel):
        def predict(self, context, model_input):
            return model_input

        def __reduce__(self):
            return Evil(trace).__reduce__()

    theirs.save_model(str(tmp_path / "pickle"), python_model=Model(), pip_requirements=[])
    with pytest.raises(InputError, match="not a student that molmv saved"):
        pyfunc.load_model(tmp_path / "pickle")
    assert not trace.exists()


# Calls that run what they read, unless the keyword has the value.
UNSAFE = {
    "pickle.load": None, "pickle.loads": None, "pickle.Unpickler": None, "dill.load": None, "cloudpickle.load": None,
    "joblib.load": None, "marshal.loads": None, "shelve.open": None, "pandas.read_pickle": None, "pd.read_pickle": None,
    "eval": None, "exec": None, "os.system": None, "os.popen": None, "yaml.load": None, "yaml.unsafe_load": None,
    "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False), "torch.load": ("weights_only", True),
    "torch.hub.load": None, "torch.jit.load": None,
}  # fmt: skip
FOLDERS = ("molmv", "benchmarks", "configs", "corpora", "examples")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def faults(source: str) -> list[str]:
    """Unsafe calls in a source, as ``line: call``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        wanted = UNSAFE.get(name, ())
        if wanted is None or (wanted and given.get(wanted[0]) is not wanted[1]):
            found.append(f"{node.lineno}: {name}")
        if given.get("shell") or given.get("trust_remote_code") or given.get("weights_only") is False:
            found.append(f"{node.lineno}: {name} with a shell, remote code or whole objects")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_asks_for_it(path: Path):
    assert faults(path.read_text(encoding="utf-8")) == []


def test_the_search_finds_what_it_looks_for():
    for call in ("np.load(x)", "torch.load(x, weights_only=False)", "eval(x)", "subprocess.run(x, shell=True)"):
        assert faults(call)
    for call in ("np.load(x, allow_pickle=False)", "torch.load(x, weights_only=True)", "model.eval()", "json.load(x)"):
        assert not faults(call)

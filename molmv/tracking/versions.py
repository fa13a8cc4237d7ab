"""The versions that decide a prediction, for the record and for those who want to run it again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

# What a machine that serves a model needs.
STUDENT = ("molmv", "mlflow", "numpy", "pandas", "rdkit", "safetensors", "torch")
PREDICTOR = ("molmv", "mlflow", "numpy", "pandas", "rdkit", "scikit-fingerprints", "torch")


def requirements(names: Sequence[str] = PREDICTOR) -> list[str]:
    """Pip requirements, pinned to what is installed here; a package that is not is left out."""
    found = []
    for name in names:
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """Versions of Python and of those packages."""
    pins = dict(line.split("==") for line in requirements())
    return {"python": platform.python_version(), "platform": platform.platform(terse=True), **pins}

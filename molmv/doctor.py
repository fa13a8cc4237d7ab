"""What of molmv works on this machine, and what to do about what does not."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import molmv
from molmv import weights
from molmv.availability import availability, extras, install, packages
from molmv.cards import TeacherCard
from molmv.checking import ABSENT, FAILED, check_apart
from molmv.models import list_teachers, student_names

CORE = ("torch", "rdkit", "numpy", "pandas", "pyarrow")
COMPOSED = ("all", "dev")  # extras made of others, or for the tests


def examine(load: bool = False) -> dict[str, Any]:
    """The state of this installation, as plain values for JSON.

    Args:
        load: load every teacher that seems to be here and let it embed, each in a process of its own.

    Returns:
        The tables ``system``, ``extras``, ``students`` and ``teachers``. Each extra and teacher has ``state``, and
        ``fix`` where something is to be done.
    """
    return {
        "system": _system(),
        "extras": {name: _extra(name) for name in extras() if name not in COMPOSED},
        "students": list(student_names()),
        "teachers": {card.name: _teacher(card, load) for card in list_teachers()},
    }


def _system() -> dict[str, str]:
    import torch

    from molmv.device import pick_device

    device = pick_device("auto")
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    slow = 'RDKit, more slowly than in C++ (pip install "cuik_molmaker_pin")'
    return {
        "molmv": f"{molmv.__version__} in {Path(molmv.__file__).parent}",
        "python": f"{platform.python_version()} in {sys.prefix}",
        "system": platform.platform(),
        **{package: metadata.version(package) for package in CORE},
        "device": f"{device}{name}",
        "threads": f"{torch.get_num_threads()} of torch, {os.cpu_count()} of the machine",
        "graphs": "C++ (cuik_molmaker)" if find_spec("cuik_molmaker") else slow,
        "cache": str(weights.cache_folder()),
        "mirror": os.environ.get("MOLMV_MIRROR", "none (MOLMV_MIRROR names a folder of weights)"),
    }


def _extra(name: str) -> dict[str, Any]:
    wanted = packages(name)
    problems = [package.problem for package in wanted if package.problem]
    fix = install(name) if any(not package.environment for package in wanted if package.problem) else ""
    return {
        "state": "; ".join(problems) or "installed",
        "fix": fix,
        "packages": {package.name: package.found for package in wanted},
    }


def _teacher(card: TeacherCard, load: bool) -> dict[str, Any]:
    here = availability(card)
    state, fix = here.why or "here", here.fix
    if here.ready and load:
        found = check_apart(card.name)
        works = found.status not in (ABSENT, FAILED)
        state, fix = ("loads", "") if works else (found.detail, found.fix)
    return {"state": state, "fix": fix, "packages": here.packages, "weights": here.weights}

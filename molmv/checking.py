"""Does a teacher still say what it said? Loads it, embeds the reference inputs, compares; a process for each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from molmv import modality, reference
from molmv.availability import availability, packages
from molmv.cards import TeacherCard, load_card
from molmv.errors import MissingExtraError, MolmvError, WeightsError
from molmv.models import load_teacher
from molmv.reference import TOLERANCE, Digest, Reference
from molmv.reference_inputs import reference_inputs
from molmv.teacher import Teacher

OK, DIFFERS, FAILED, ABSENT, NO_REFERENCE = "ok", "differs", "fails", "not here", "no reference"
SECONDS = 0.5  # speed is measured for at least this long


@dataclass(frozen=True)
class Check:
    """What was found about a teacher.

    Attributes:
        name: of the teacher.
        status: :data:`OK`; :data:`DIFFERS` from its reference; :data:`FAILED` to load or to embed; :data:`ABSENT`, if
            its packages or weights are not here; :data:`NO_REFERENCE`, if it works but there is nothing to compare.
        detail: the inputs that differ and by how much, or the reason of a failure.
        fix: what to do about it; may be empty.
        largest: largest difference from the reference as a share of a vector's length; None without.
        per_second: reference inputs a second of processor time, from SMILES, texts or pixels to vectors.
        peak_mib: largest resident memory of the process, Python and libraries included; None where unknown.
    """

    name: str
    status: str
    detail: str = ""
    fix: str = ""
    largest: float | None = None
    per_second: float | None = None
    peak_mib: int | None = None


def check(name: str, update: bool = False) -> Check:
    """Check a teacher in this process. Nothing that a teacher does wrong is raised; see :class:`Check`.

    Args:
        name: see :func:`molmv.models.load_teacher`.
        update: store what it says as its reference instead of comparing.
    """
    card = load_card(name)
    inputs = reference_inputs(card.modality)
    if not inputs:
        return Check(card.name, NO_REFERENCE, f"molmv has no reference inputs of modality {card.modality}")
    try:
        teacher = load_teacher(name, device="cpu")
        expected = reference.read_reference(card)
        found, per_second = _embed(teacher, inputs)
        if update:
            tolerance = expected.tolerance if expected else TOLERANCE
            path = reference.write_reference(card, Reference(teacher.dim, _versions(card), found, tolerance))
            return Check(card.name, OK, f"reference written to {path}", "", None, per_second, peak_memory())
    except (MissingExtraError, WeightsError) as error:
        # A file that is there but wrong is a failure; one that is nowhere is not.
        return Check(card.name, FAILED if availability(card).ready else ABSENT, error.message, error.hint)
    except MolmvError as error:
        return Check(card.name, FAILED, error.message, error.hint)
    if expected is None:
        hint = f"Store one with: molmv teachers check {name} --update"
        return Check(card.name, NO_REFERENCE, "works", hint, None, per_second, peak_memory())
    if expected.dim != teacher.dim:
        return Check(card.name, DIFFERS, f"{teacher.dim} dimensions now, {expected.dim} in the reference")
    largest, detail = compare(found, expected)
    fix = _other_versions(expected.versions, _versions(card)) if detail else ""
    return Check(card.name, DIFFERS if detail else OK, detail, fix, largest, per_second, peak_memory())


def check_apart(name: str, update: bool = False) -> Check:
    """As :func:`check`, in a process of its own: a crash costs this check only, and the memory is the teacher's."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_one_thread) as pool:
        try:
            return pool.submit(check, name, update).result()
        except BrokenProcessPool:
            return Check(name, FAILED, "its process died", "It may have run out of memory.")


def compare(found: Mapping[str, Digest | None], expected: Reference) -> tuple[float, str]:
    """Largest difference, and the inputs beyond the tolerance, each with its own."""
    largest, said = 0.0, []
    for name, now in found.items():
        if name not in expected.inputs:
            said.append(f"{name}: not in the reference")
            continue
        then = expected.inputs[name]
        if now is None or then is None:
            if now is not then:
                said.append(f"{name}: {'refused' if now is None else 'embedded'} now, not before")
            continue
        difference = now.difference(then)
        largest = max(largest, difference)
        if difference > expected.tolerance:
            said.append(f"{name} by {difference:.1e}")
    return largest, ", ".join(said)


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in MiB; None where the system does not tell."""
    with suppress(OSError, StopIteration):  # Linux; unlike getrusage it leaves out the process that started this one
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)


def _embed(teacher: Teacher, inputs: Mapping[str, Any]) -> tuple[dict[str, Digest | None], float]:
    """Digests of the reference inputs, and how many were embedded a second."""
    values = list(inputs.values())
    vectors = teacher.embed(teacher.screen(values))
    found = {
        name: Digest.of(vector) if np.isfinite(vector).all() else None
        for name, vector in zip(inputs, vectors, strict=True)
    }
    start, rounds, seconds = time.process_time(), 0, 0.0
    while seconds < SECONDS:
        teacher.embed(teacher.screen(values))
        rounds, seconds = rounds + 1, time.process_time() - start
    return found, len(values) * rounds / seconds


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # torch is imported later


def _versions(card: TeacherCard) -> dict[str, str]:
    wanted = [package.name for package in packages(card.extra) if package.found] if card.extra else []
    read_with = modality.of(card.modality).packages
    return {name: metadata.version(name) for name in (*read_with, "numpy", "torch", *wanted)}


def _other_versions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [f"{name} {then[name]} then, {now.get(name, 'none')} now" for name in then if then[name] != now.get(name)]
    return f"Versions: {'; '.join(changed)}." if changed else "The versions of its packages are those of the reference."

"""Fuzzed files and SMILES: no crash, no stall, no error that is not molmv's, no row lost."""

import sys
from collections.abc import Callable

import pytest
from fuzzing import CHUNK, Told, fuzz

Record = Callable[[str, object], None]


def check(told: Told, record_property: Record, what: str, inputs: int) -> None:
    """Count them for the summary at the end of the tests; then refuse any fault."""
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(told.outcomes.items()))
    sys.stdout.write(f"{told.cases} cases of {what}: {counts}\n")
    record_property("faults", [what, inputs, inputs - len(told.faults), 0])
    assert told.faults == []
    assert sum(told.outcomes.values()) > 0


@pytest.mark.parametrize(("seed", "count"), [(7, 140), pytest.param(0, 4000, marks=pytest.mark.slow)])
def test_files(seed: int, count: int, record_property: Record):
    check(fuzz("files", seed, count), record_property, "fuzzed files", count)


@pytest.mark.parametrize(("seed", "chunks"), [(7, 6), pytest.param(0, 220, marks=pytest.mark.slow)])
def test_smiles(seed: int, chunks: int, record_property: Record):
    check(fuzz("smiles", seed, chunks), record_property, "fuzzed SMILES", chunks * CHUNK)


def test_a_crash_and_a_stall_are_told(tmp_path, monkeypatch):
    """The watcher finds what it looks for."""
    script = tmp_path / "fuzzer.py"
    script.write_text(
        "import os, sys, time\n"
        "progress, start = sys.argv[4], int(sys.argv[5])\n"
        "for case in range(start, 5):\n"
        "    open(progress, 'w').write(str(case))\n"
        "    os.abort() if case == 1 else time.sleep(600) if case == 3 else None\n"
        'print(\'{"outcomes": {"good": 1}}\')\n'
    )
    monkeypatch.setattr("fuzzing.__file__", str(script))
    told = fuzz("files", 0, 5, limit=1.0)
    assert len(told.faults) == 2
    assert "case 1 ended the process with -6" in told.faults[0]
    assert "case 3 stalled for 1 s" in told.faults[1]

"""Fuzzed files and SMILES: no crash, no stall, no error that is not molmv's, no row lost."""

import pytest
from fuzzing import CHUNK, Told, fuzz


def check(told: Told, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Print the counts, for ``make test-all``; then refuse any fault."""
    with capsys.disabled():
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(told.outcomes.items()))
        print(f"\n{told.cases} {what}, {len(told.faults)} crashes, stalls and foreign errors; {counts}")  # noqa: T201
    assert told.faults == []
    assert sum(told.outcomes.values()) > 0


@pytest.mark.parametrize("seed", [7])
def test_some_files(seed: int, capsys: pytest.CaptureFixture[str]):
    check(fuzz("files", seed, 140), capsys, "fuzzed files")


@pytest.mark.parametrize("seed", [7])
def test_some_smiles(seed: int, capsys: pytest.CaptureFixture[str]):
    check(fuzz("smiles", seed, 6), capsys, f"chunks of {CHUNK} fuzzed SMILES")


@pytest.mark.slow
def test_many_files(capsys: pytest.CaptureFixture[str]):
    check(fuzz("files", 0, 4000), capsys, "fuzzed files")


@pytest.mark.slow
def test_many_smiles(capsys: pytest.CaptureFixture[str]):
    check(fuzz("smiles", 0, 220), capsys, f"chunks of {CHUNK} fuzzed SMILES")


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

"""``make audit``: an audit that looked nothing up is not good news."""

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("audit", Path(__file__).parent.parent / "configs" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)

CLEAN = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found"}
ILL = {"name": "c", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}, {"id": "X-2", "fix_versions": []}]}


def test_nothing_looked_up():
    for found in ([], [SKIPPED, SKIPPED]):
        code, told = audit.verdict(found)
        assert code == 2
        assert told.startswith("NOT AUDITED")


def test_clean():
    assert audit.verdict([CLEAN, SKIPPED]) == (
        0,
        "1 packages looked up, 0 advisories. Not known there, so not looked up: b.",
    )


def test_advisories():
    code, told = audit.verdict([CLEAN, ILL])
    assert code == 1
    assert told.splitlines() == [
        "c 2: X-1, fixed in 3",
        "c 2: X-2, fixed in -",
        "2 packages looked up, 2 advisories.",
    ]

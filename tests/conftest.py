"""What every test shares: no network, no cache of the user's, the same random examples in CI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile("local", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their argument: packed ones hold the time of day, and every worker must see the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="session")
def isolated_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches go to a temporary folder, downloads come from the mirror beside the checkout or not at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLMV_HOME", str(tmp_path_factory.mktemp("molmv_home")))
        patch.setenv("MOLMV_MIRROR", str(SHARED_DATA))
        patch.setenv("MOLMV_TIMEOUT", "0")  # a watched process would not know what a test patches in this one
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlruns.db")
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test sets and teacher files beside the checkout; skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no test data in {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def library() -> Path:
    """A real file with bad rows: 3,020 rows, 28 of which hold no molecule."""
    return ROOT / "examples" / "library.csv"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was counted: each test of faults records ``("faults", [what, injected, survived, rows lost])``."""
    counts: dict[str, list[int]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "faults" and getattr(report, "when", "") == "call":
                    what, *numbers = value
                    counts[what] = [a + b for a, b in zip(counts.get(what, [0, 0, 0]), numbers, strict=True)]
    if not counts:
        return
    terminalreporter.section("faults")
    for what, (injected, survived, lost) in sorted(counts.items()):
        terminalreporter.line(f"{what:48} {injected:6} injected {survived:6} survived {lost:6} rows lost")
    injected, survived, lost = (sum(column) for column in zip(*counts.values(), strict=True))
    terminalreporter.line(f"{'all':48} {injected:6} injected {survived:6} survived {lost:6} rows lost")

"""The progress bar: what it shows, and that it is not in the way of other programs."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molmv.cli import terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rate_and_time_left_of_a_slow_teacher(monkeypatch: pytest.MonkeyPatch):
    """Also when it reports once a minute, and when a part was done before."""
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    clock = iter([1000.0, 1060.0, 1120.0])
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with terminal.progress("embedding with x") as update:
        update(5_000, 0.5)
        update(5_600, 0.56)
        update(6_200, 0.62)
    last = screen.getvalue()
    assert "embedding with x" in last
    assert "6,200 rows, 10/s" in last
    assert "0:06:20 left" in last  # 0.38 of the work at 0.06 a minute


@pytest.mark.parametrize("quiet", [True, False])
def test_no_bar_without_a_terminal(quiet: bool, capsys: pytest.CaptureFixture[str]):
    with terminal.progress("embedding", quiet) as update:
        update(1, None)
    assert capsys.readouterr() == ("", "")


@given(st.floats(1, 1000), st.floats(0, 0.5), st.floats(0.51, 1))
def test_the_time_left_is_in_proportion(seconds: float, before: float, fraction: float):
    left = seconds * (1 - fraction) / (fraction - before)
    hours, minutes, rest = map(int, terminal.remaining(seconds, fraction, before).removesuffix(" left").split(":"))
    assert abs(3600 * hours + 60 * minutes + rest - left) <= 0.5


@pytest.mark.parametrize(("fraction", "before"), [(None, 0.0), (0.0, 0.0), (0.4, 0.4)])
def test_the_time_left_is_not_guessed(fraction: float | None, before: float):
    assert terminal.remaining(10.0, fraction, before) == ""

"""What a teacher needs and what of it is here, from metadata and file names alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from molmv import availability as module
from molmv.availability import Package, availability, extras, packages
from molmv.cards import Provenance, TeacherCard, Weights, load_card

REQUIRES = [
    "numpy>=2.0",
    "no-such-package>=1; extra == 'absent'",
    "numpy<1; extra == 'old'",
    "numpy; (python_version < '3') and extra == 'ancient'",
    "numpy>=1; extra == 'fine'",
]


@pytest.fixture(autouse=True)
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module.metadata, "requires", lambda name: REQUIRES)
    for cached in (packages, module._requirements):
        cached.cache_clear()
    yield
    for cached in (packages, module._requirements):
        cached.cache_clear()


def card(extra: str, **weights: str) -> TeacherCard:
    where = Weights(**weights)
    return TeacherCard("t", "molecule", "x", 1, "gaussian", Provenance("MIT", (), ()), extra=extra, weights=where)


@pytest.mark.parametrize(
    ("extra", "state", "why", "fix"),
    [
        ("", "installed", "", ""),
        ("fine", "installed", "", ""),
        ("absent", "not installed", "no-such-package not installed", 'pip install "molmv[absent]"'),
        ("ancient", "not for this Python", 'numpy needs python_version < "3"', "in another environment"),
    ],
)
def test_packages(extra: str, state: str, why: str, fix: str):
    found = availability(card(extra))
    assert (found.packages, found.weights, found.why, found.ready) == (state, "computed", why, not why)
    assert fix in found.fix


def test_another_version_is_a_problem_to_tell_but_not_missing():
    (numpy,) = packages("old")
    assert numpy.problem.startswith("numpy ")
    assert numpy.problem.endswith("is installed, expected <1")
    assert availability(card("old")).ready


def test_a_package_without_bounds():
    assert Package("x", "", "1.0").problem == ""


def test_weights_that_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path))
    monkeypatch.delenv("MOLMV_MIRROR")
    here = card("", source="https://nowhere.invalid/w.pth", sha256="ab" * 32)
    found = availability(here)
    assert (found.weights, found.why) == ("to download", "its weights are not on this machine")
    place = tmp_path / "weights" / ("ab" * 8) / "w.pth"
    assert f"Place https://nowhere.invalid/w.pth (sha256 {'ab' * 32}) at {place}" in found.fix
    place.parent.mkdir(parents=True)
    place.touch()
    assert availability(here) == replace(found, weights="cache", why="", fix="")


def test_weights_that_nobody_can_verify():
    found = availability(card("", source="https://nowhere.invalid/w.pth", sha256="unknown"))
    assert not found.ready
    assert found.why == "the hash of its weights is not known"
    assert found.fix.startswith("Obtain https://nowhere.invalid/w.pth from its authors")


def test_not_installed_at_all(monkeypatch: pytest.MonkeyPatch):
    """A checkout on the path knows no extras and claims nothing."""

    def unknown(name: str) -> None:
        raise module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "requires", unknown)
    monkeypatch.setattr(module.metadata, "metadata", unknown)
    assert extras() == ()
    assert availability(load_card("ecfp")).ready

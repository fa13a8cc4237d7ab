"""One small world for all tests of distillation."""

from pathlib import Path

import pytest
from tiny_distillation import DROPOUT, World, make_world

from molmv.distill import distill


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A corpus with its stores; only read."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def fresh_world(tmp_path: Path) -> World:
    """A corpus with its stores, to change."""
    return make_world(tmp_path / "world")


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed; only read."""
    output = tmp_path_factory.mktemp("finished")
    assert distill(world.config(output, **DROPOUT)) == output / "student"
    return output

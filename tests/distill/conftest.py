"""One small world for all tests of distillation."""

from pathlib import Path

import pytest
from tiny_distillation import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A corpus with its stores; only read."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def fresh_world(tmp_path: Path) -> World:
    """A corpus with its stores, to change."""
    return make_world(tmp_path / "world")

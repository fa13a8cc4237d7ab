"""Installs the sample package as pip would: its module on the path, with the metadata of its pyproject.toml."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site-packages")
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]\n{name} = {place}\n" for group, points in project["entry-points"].items()
             for name, place in points.items()]  # fmt: skip
    (info / "entry_points.txt").write_text("".join(lines))
    (site / "element_counts.py").write_text((HERE / "element_counts.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield

"""Facts about the repository that would otherwise drift."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CARDS = sorted((ROOT / "teachers").glob("*.toml"))
STUDENTS = sorted(path.parent for path in (ROOT / "students").glob("*/config.json"))


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> dict[str, set[str]]:
    """Each outside package that some file of molmv imports, with the distributions that it may be from."""
    owners = packages_distributions()
    found = set()
    for path in (ROOT / "molmv").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    outside = found - set(sys.stdlib_module_names) - {"molmv"}
    return {top: {normal(owner) for owner in owners[top]} for top in outside}


def distributions(entries: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", entry)[0]) for entry in entries}


@cache
def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_environment_repeats_the_constraints():
    section = (ROOT / "environment.yml").read_text(encoding="utf-8").partition("- pip:")[2]
    entries = re.findall(r"^ +- (\S+)$", section, flags=re.MULTILINE)
    assert entries == pins()


def test_every_direct_dependency_is_pinned():
    wanted = distributions(sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])) - {"molmv"}
    assert wanted == distributions(pins())


def test_what_is_imported_is_declared():
    declared = distributions(sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]))
    assert not {top for top, owners in imported().items() if not owners & declared}


def test_the_core_is_imported():
    assert distributions(PROJECT["dependencies"]) <= set().union(*imported().values())


def test_everything_is_in_the_extra_all():
    extras = set(PROJECT["optional-dependencies"]) - {"all", "dev"}
    assert extras == set(re.search(r"\[(.*)\]", PROJECT["optional-dependencies"]["all"][0])[1].split(","))


def test_licence_and_changelog():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_card_is_in_the_readme(card: Path):
    assert f"`{card.stem}`" in README, f"{card.name} has no row in the README's table of teachers"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_card_names_an_extra_that_exists(card: Path):
    extra = tomllib.loads(card.read_text(encoding="utf-8")).get("extra", "all")
    assert extra in PROJECT["optional-dependencies"]


@pytest.mark.parametrize("student", STUDENTS, ids=lambda student: student.name)
def test_student_is_whole_and_in_the_readme(student: Path):
    assert {"model.safetensors", "config.json", "README.md"} <= {path.name for path in student.iterdir()}
    assert f"`{student.name}`" in README


def commands_in_readme() -> list[tuple[str, ...]]:
    found = re.findall(r"(?:^|`)molmv ([a-z]+)(?: ([a-z]+)\b(?![./]))?", README, flags=re.MULTILINE)
    return sorted({(verb, sub) if verb == "teachers" and sub else (verb,) for verb, sub in found})


@pytest.mark.parametrize("verbs", commands_in_readme(), ids=" ".join)
def test_command_of_the_readme_exists(verbs: tuple[str, ...]):
    code = "from molmv.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code, *verbs, "--help"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_links_of_the_documents_resolve():
    for path in tracked():
        if path.suffix == ".md":
            for link in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", path.read_text(encoding="utf-8")):
                assert (path.parent / link).exists(), f"{path.relative_to(ROOT)} links to {link}"


# Written in two parts so that this file does not hold what it looks for.
PLACES = ["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/"]
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "download.pytorch" + ".org", "anaconda" + ".org"]


def test_no_machine_paths_or_registry_hosts():
    for path in tracked():
        text = path.read_bytes()
        for word in PLACES + HOSTS:
            assert word.encode() not in text, f"{path.relative_to(ROOT)} names {word}"


def test_wheel_holds_cards_and_students(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {f"molmv/teachers/{card.name}" for card in CARDS} <= names
    references = [path.name for path in (ROOT / "teachers" / "reference").iterdir()]
    assert {f"molmv/teachers/reference/{name}" for name in references} <= names
    assert {f"molmv/students/{student.name}/model.safetensors" for student in STUDENTS} <= names
    assert {"molmv/py.typed", "molmv/errors.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "teachers/"))]


@pytest.mark.slow
def test_sdist_makes_the_same_wheel(tmp_path: Path):
    def build(what: str, where: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(tmp_path / what)]
        subprocess.run(command, cwd=where, check=True, capture_output=True)
        made = next((tmp_path / what).iterdir())
        assert made.stat().st_size <= 60_000_000
        return made

    def contents(wheel: Path) -> dict[str, int]:
        return {
            info.filename: info.CRC for info in zipfile.ZipFile(wheel).infolist() if "dist-info" not in info.filename
        }

    sdist, expected = build("sdist", ROOT), contents(build("wheel", ROOT))
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    shutil.rmtree(tmp_path / "wheel")
    assert contents(build("wheel", next((tmp_path / "unpacked").iterdir()))) == expected


def test_wheel_is_small(tmp_path: Path):
    """Released students may have 40 MB together, and the cards are text."""
    total = sum(path.stat().st_size for path in tracked() if path.parts[len(ROOT.parts)] in {"molmv", "teachers"})
    assert total < 2_000_000
    assert sum(path.stat().st_size for student in STUDENTS for path in student.iterdir()) <= 40_000_000

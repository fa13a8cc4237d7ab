"""`molmv teachers`; that `list` imports nothing heavy is in tests/test_imports.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from molmv import availability
from molmv.availability import Availability
from molmv.cards import card_folder, card_names
from molmv.checking import Check
from molmv.cli import app
from molmv.embeddings import EmbeddingStore, check_same_rows


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["teachers", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.smi"
    path.write_text("CCO ethanol\nCC( bad\nc1ccccc1 benzene\n")
    return path


def test_list_is_one_line_a_teacher():
    header, *lines = run("list").stdout.splitlines()
    assert header.split("\t")[:3] == ["name", "modality", "dim"]
    assert [line.split("\t")[0] for line in lines] == list(card_names())
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    (minimol,) = [row for row in rows if row["name"] == "minimol"]
    assert (minimol["licence"], minimol["dim"]) == ("MIT (weights), Apache-2.0 (package)", "512")
    assert minimol["needs"].startswith("minimol")
    assert minimol["labels seen"] == "6"
    (descriptors,) = [row for row in rows if row["name"] == "rdkit-descriptors"]
    assert (descriptors["needs"], descriptors["weights"], descriptors["labels seen"]) == ("core", "computed", "none")


def test_list_tells_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))

    def weights() -> str:
        found = {card["name"]: card for card in json.loads(run("list", "--json").stdout)}
        return found["pretrain-gnn-gcn-contextpred"]["here"]["weights"]

    assert weights() == "to download"
    (tmp_path / "gcn_contextpred.pth").touch()
    assert weights() == "mirror"


def test_list_tells_of_a_missing_package(monkeypatch: pytest.MonkeyPatch):
    requires = ["no-such-package>=1; extra == 'minimol'"]
    monkeypatch.setattr(availability.metadata, "requires", lambda name: requires)
    for cached in (availability.packages, availability._requirements):
        cached.cache_clear()
    try:
        assert "\tminimol (not installed)\t" in run("list").stdout
        missing = json.loads(run("show", "minimol", "--json").stdout)["here"]
        assert (missing["missing"], missing["fix"]) == (
            "no-such-package not installed",
            'pip install "molmv[minimol]"',
        )
    finally:
        for cached in (availability.packages, availability._requirements):
            cached.cache_clear()


def test_list_as_json():
    found = {card["name"]: card for card in json.loads(run("list", "--json").stdout)}
    assert set(found) == set(card_names())
    assert found["ecfp"]["options"] == {"fingerprint": "ECFP", "fp_size": 2048, "radius": 2}


def test_show_tells_what_a_user_must_know():
    shown = dict(line.split(maxsplit=1) for line in run("show", "minimol").stdout.splitlines())
    assert shown["provenance.licence"] == "MIT (weights), Apache-2.0 (package)"
    assert shown["provenance.labels_seen"].startswith("CYP1A2_Veith, ")
    assert shown["weights.sha256"] == shown["weights.sha256"].lower()
    assert "provenance.labels_seen  none" in run("show", "ecfp").stdout


@pytest.mark.parametrize("name", ["ecfp", card_folder() / "ecfp.toml"])
def test_show_as_json(name: str):
    card = json.loads(run("show", name, "--json").stdout)
    assert (card["name"], card["dim"], card["weights"]["sha256"]) == ("ecfp", 2048, "")
    assert len(card["digest"]) == 64


def test_show_a_fingerprint_without_card():
    card = json.loads(run("show", "skfp:Avalon-count", "--json").stdout)
    assert (card["likelihood"], card["options"]) == ("count", {"fingerprint": "Avalon", "count": True})


def test_show_knows_the_fingerprints_there_are():
    pytest.importorskip("skfp")
    result = run("show", "skfp:ECPF", code=2)
    assert "scikit-fingerprints has no fingerprint 'ECPF'. Did you mean 'ECFP'?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path, corpus: Path):
    for arguments in (("show", "minimal"), ("embed", "rdkit-descriptors", "minimal", corpus, "-o", tmp_path / "st")):
        result = run(*arguments, code=2)
        assert "No teacher is called 'minimal'. Did you mean 'minimol'?" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "st").exists()  # nobody embeds before all names are right


def test_embed_makes_a_store_each(tmp_path: Path, corpus: Path):
    pytest.importorskip("skfp")
    result = run("embed", "rdkit-descriptors", "skfp:MACCS", corpus, "-o", tmp_path)
    assert result.stdout == ""
    constant = len(EmbeddingStore(tmp_path / "rdkit-descriptors").constant)
    assert 0 < constant < 217
    said = f"{tmp_path / 'rdkit-descriptors'}, 1 refused; {constant} of 217 columns are constant in this corpus"
    assert f"rdkit-descriptors: 3 rows in {said}" in result.stderr.splitlines()
    stores = [EmbeddingStore(tmp_path / name) for name in ("rdkit-descriptors", "skfp-MACCS")]
    check_same_rows(stores)
    for store in stores:
        assert store.valid.tolist() == [True, False, True]
        assert np.any(store.take(np.array([0, 2])), axis=1).all()
    run("embed", "rdkit-descriptors", corpus, "-o", tmp_path)  # already done


def test_a_card_elsewhere_names_its_store_after_the_teacher(tmp_path: Path, corpus: Path):
    run("embed", card_folder() / "rdkit-descriptors.toml", corpus, "-o", tmp_path / "st")
    assert [path.name for path in (tmp_path / "st").iterdir()] == ["rdkit-descriptors"]


def test_a_teacher_that_fails_does_not_stop_the_others(tmp_path: Path, corpus: Path):
    pytest.importorskip("skfp")
    result = run("embed", "skfp:ECFF", "rdkit-descriptors", corpus, "-o", tmp_path, code=1)
    assert "scikit-fingerprints has no fingerprint 'ECFF'. Did you mean 'ECFP'?" in result.stderr
    assert len(EmbeddingStore(tmp_path / "rdkit-descriptors")) == 3
    run("embed", "skfp:ECFF", corpus, "-o", tmp_path, code=2)


def test_another_corpus_is_refused(tmp_path: Path, corpus: Path):
    run("embed", "rdkit-descriptors", corpus, "-o", tmp_path)
    corpus.write_text("CCO\nCCN\nCCF\n")
    assert "differs in corpus" in run("embed", "rdkit-descriptors", corpus, "-o", tmp_path, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rdkit-descriptors"], "Expected at least one teacher and a file."),
        (["rdkit-descriptors", "ecfp", "nowhere.smi"], "nowhere.smi"),
    ],
)
def test_no_file(arguments: list[str], message: str, tmp_path: Path):
    assert message in run("embed", *arguments, "-o", tmp_path / "st", code=2).stderr
    assert not (tmp_path / "st").exists()


def test_an_output_that_is_a_file(tmp_path: Path, corpus: Path):
    assert "Cannot make the folder" in run("embed", "rdkit-descriptors", corpus, "-o", corpus, code=2).stderr


def test_embed_with_workers_and_go_on(tmp_path: Path, corpus: Path):
    """Several processes, and a second run that finds all done."""
    run("embed", "rdkit-descriptors", corpus, "-o", tmp_path / "one")
    run("embed", "rdkit-descriptors", corpus, "-o", tmp_path / "two", "--workers", 2)
    one, two = (tmp_path / name / "rdkit-descriptors" / "part-00000.arrow" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    before = two.stat().st_mtime_ns
    run("embed", "rdkit-descriptors", corpus, "-o", tmp_path / "two", "--workers", 2)
    assert two.stat().st_mtime_ns == before


FOUND = {
    "ecfp": Check("ecfp", "ok", "", "", 0.0, 1234.0, 400),
    "maccs": Check("maccs", "differs", "aspirin by 1.0e-02", "Versions: rdkit 1 then, 2 now.", 0.01, 10.0, 400),
    "minimol": Check("minimol", "not here", "its weights are not on this machine", "Place it."),
    "ecfp-count": Check("ecfp-count", "fails", "ValueError: no", ""),
    "skfp:MHFP": Check("skfp:MHFP", "no reference", "works", "Store one."),
}


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("molmv.checking.check_apart", lambda name, update: FOUND.get(name, Check(name, "ok")))
    monkeypatch.setattr("molmv.availability.availability", lambda card: Availability("installed", "computed"))


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["ecfp"], 0),
        (["ecfp", "skfp:MHFP"], 0),
        (["maccs", "ecfp"], 1),
        (["ecfp-count", "ecfp"], 1),
        (["minimol"], 1),  # asked for, and not here
        ([], 1),
    ],
)
def test_check_goes_on_and_counts(names: list[str], code: int):
    lines = run("check", *names, code=code).stdout.splitlines()
    assert [line.split()[0] for line in lines] == (names or list(card_names()))
    if "maccs" in names:
        assert lines[0].split(maxsplit=5)[1:5] == ["differs", "10/s", "400", "MiB"]
        assert lines[0].endswith("aspirin by 1.0e-02. Versions: rdkit 1 then, 2 now")
    found = json.loads(run("check", *names, "--json", code=code).stdout)
    assert [row["name"] for row in found] == (names or list(card_names()))


def test_check_of_all_neither_downloads_nor_minds_what_is_not_here(monkeypatch: pytest.MonkeyPatch):
    loaded = []
    monkeypatch.setattr("molmv.checking.check_apart", lambda name, update: loaded.append(name) or Check(name, "ok"))
    absent = Availability("installed", "to download", "its weights are not on this machine", "Place it.")
    ready = Availability("installed", "computed")
    monkeypatch.setattr("molmv.availability.availability", lambda card: absent if card.weights.sha256 else ready)
    lines = run("check").stdout.splitlines()
    assert "minimol" not in loaded
    assert "ecfp" in loaded
    assert next(line for line in lines if line.startswith("minimol ")).endswith("not on this machine. Place it")


def test_check_a_misspelt_name_before_any_other():
    assert "Did you mean 'minimol'?" in run("check", "ecfp", "minimal", code=2).stderr

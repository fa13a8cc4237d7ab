"""`molmv teachers`; that `list` imports nothing heavy is in tests/test_imports.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from molmv.cards import card_folder, card_names
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
    assert "minimol\tmolecule\t512\tgaussian\tMIT (weights), Apache-2.0 (package)\tminimol\t" in "\n".join(lines)


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
    assert f"rdkit-descriptors: 3 rows in {tmp_path / 'rdkit-descriptors'}" in result.stderr
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

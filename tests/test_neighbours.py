"""Neighbours of molecules in a real library, from files and from Python."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import molmv
from molmv.cli import app
from molmv.errors import InputError
from molmv.neighbours import Neighbours


def run(*arguments: object, code: int = 0, **options: str):
    result = CliRunner().invoke(app, [str(a) for a in arguments], **options)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def index(tmp_path_factory, library):
    folder = tmp_path_factory.mktemp("index") / "index"
    result = run("index", library, "--id-column", "id", "-o", folder)
    assert "2,992 rows indexed, 28 without a vector left out" in result.stderr
    return folder


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory, library):
    path = tmp_path_factory.mktemp("embeddings") / "library.parquet"
    molmv.featurize(library, id_column="id").save(path)
    return path


def test_a_molecule_of_the_library_finds_itself(index, library):
    rows = pd.read_csv(library, dtype=str, keep_default_na=False, skip_blank_lines=False).iloc[[0, 40, 2000]]
    found = Neighbours(index).search(rows["smiles"].tolist(), k=3)
    assert found.columns.tolist() == ["query", "query_smiles", "rank", "cosine", "row", "id", "smiles", "reason"]
    first = found[found["rank"] == 1]
    assert first["cosine"].min() > 0.999
    for (_, hit), (_, expected) in zip(first.iterrows(), rows.iterrows(), strict=True):
        same = found[(found["query"] == hit["query"]) & (found["cosine"] > 0.999)]
        assert expected["smiles"] in same["smiles"].tolist()


def test_neighbours_are_those_of_all_pairs(index, embeddings):
    X, rows = molmv.load_embeddings(embeddings).dropna()
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    queries = ["CC(=O)Oc1ccccc1C(=O)O", "CCCCCCCCCC(=O)O"]
    Q = molmv.featurize(queries).X
    cosines = (Q / np.linalg.norm(Q, axis=1, keepdims=True)) @ X.T
    found = Neighbours(index).search(queries, k=10, exact=True)
    for i in range(2):
        of_query = found[found["query"] == i]
        np.testing.assert_allclose(of_query["cosine"], np.sort(cosines[i])[::-1][:10], atol=1e-3)
        assert len(set(of_query["row"]) & set(rows[np.argsort(-cosines[i])[:10]])) >= 9


def test_embeddings_are_indexed_as_they_are(embeddings, index, tmp_path):
    run("index", embeddings, "-o", tmp_path / "index", "--metric", "euclidean")
    found = Neighbours(tmp_path / "index").search(["CCO"], k=2)
    assert found["distance"].is_monotonic_increasing
    other = Neighbours(index).search(embeddings, k=1, exact=True)
    assert len(other) == 3020
    assert (other["cosine"].dropna() > 0.999).all()


def test_refused_queries_keep_their_place(index):
    found = Neighbours(index).search(["CCO", "not a molecule", None, "CCN"], k=2)
    assert found["query"].tolist() == [0, 0, 1, 2, 3, 3]
    assert found["reason"].str.len().gt(0).tolist() == [False, False, True, True, False, False]
    assert found["row"].isna().tolist() == [False, False, True, True, False, False]
    assert len(Neighbours(index).search(["not a molecule"])) == 1
    assert len(Neighbours(index).search([])) == 0


def test_texts_from_a_column_and_from_a_file_of_embeddings(tmp_path):
    pytest.importorskip("sklearn")
    texts = ["where is my card", "", "the exchange rate is high", "my card was stolen"]
    pd.DataFrame({"id": list("abcd"), "review": texts}).to_csv(tmp_path / "reviews.csv", index=False)
    (tmp_path / "queries.txt").write_text("a stolen card\n\nexchange rate\n")
    run("index", tmp_path / "reviews.csv", "-m", "hashed-ngrams", "--id-column", "id", "-o", tmp_path / "index")
    molmv.featurize(tmp_path / "reviews.csv", "hashed-ngrams", id_column="id").save(tmp_path / "embedded.parquet")
    run("index", tmp_path / "embedded.parquet", "-o", tmp_path / "again")
    found = Neighbours(tmp_path / "index").search(tmp_path / "queries.txt", k=1)
    assert found.columns.tolist() == ["query", "query_text", "rank", "cosine", "row", "id", "text", "reason"]
    assert found["text"].fillna("").tolist() == [texts[3], "", texts[2]]
    assert found["id"].fillna("").tolist() == ["d", "", "c"]
    assert found["row"].fillna(-1).tolist() == [3, -1, 2]
    assert found["reason"].tolist() == ["", "empty text", ""]
    pd.testing.assert_frame_equal(Neighbours(tmp_path / "again").search(tmp_path / "queries.txt", k=1), found)
    with pytest.raises(InputError, match="other weights"):
        Neighbours(tmp_path / "index").search(molmv.featurize(["CCO"], "maccs"))


def test_images_from_a_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "photographs").mkdir()
    colours = {"blue.png": (0, 0, 255), "green.png": (0, 255, 0), "red.png": (255, 0, 0)}
    for name, colour in colours.items():
        image.new("RGB", (8, 8), colour).save(tmp_path / "photographs" / name)
    (tmp_path / "photographs" / "damaged.png").write_bytes(b"no image")
    result = run("index", tmp_path / "photographs", "-m", "colour-statistics", "-o", tmp_path / "index")
    assert "3 rows indexed, 1 without a vector left out" in result.stderr
    (tmp_path / "asked").mkdir()
    image.new("RGB", (8, 8), (250, 5, 5)).save(tmp_path / "asked" / "reddish.png")
    found = Neighbours(tmp_path / "index").search(tmp_path / "asked", k=1)
    assert found[["query_image", "row", "image"]].to_numpy().tolist() == [["reddish.png", 3, "red.png"]]


def test_another_model_is_refused(index, tmp_path):
    with pytest.raises(InputError, match="other weights"):
        Neighbours(index, model="maccs").search(["CCO"])
    with pytest.raises(InputError, match="other weights"):
        Neighbours(index).search(molmv.featurize(["CCO"], model="maccs"))


def test_command(index, tmp_path):
    (tmp_path / "query.smi").write_text("CCO\nCCN\n")
    lines = run("neighbours", tmp_path / "query.smi", index, "-k", 2).stdout.splitlines()
    assert lines[0].split("\t")[:4] == ["query", "query_smiles", "rank", "cosine"]
    assert len(lines) == 5
    for name in ("found.csv", "found.parquet"):
        run("neighbours", tmp_path / "query.smi", index, "--exact", "-o", tmp_path / name)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "found.csv", keep_default_na=False),
        pd.read_parquet(tmp_path / "found.parquet"),
        check_dtype=False,
        rtol=1e-5,
    )
    run("neighbours", tmp_path / "query.smi", index, "-o", tmp_path / "found.csv", code=2)
    run("neighbours", tmp_path / "query.smi", index, "-o", tmp_path / "found.xlsx", code=2)
    run("neighbours", tmp_path / "query.smi", tmp_path, code=2)

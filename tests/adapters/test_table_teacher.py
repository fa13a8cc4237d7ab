"""A table of vectors is a teacher like any other; it is joined by molecule, never by luck."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from typer.testing import CliRunner

import molmv
from molmv.cli import app
from molmv.embeddings import EmbeddingStore
from molmv.errors import CardError, InputError, MolmvError, WeightsError
from molmv.models import load_teacher
from molmv.testing.adapter import SPELLINGS, AdapterSuite, embed

CARD = """\
name = "mine"
modality = "molecule"
adapter = "table"
dim = 0
likelihood = "gaussian"
encoding = "float32"
{top}
[weights]
file = "{file}"
sha256 = "{sha256}"

[options]
{options}

[provenance]
licence = "mine"
trained_on = []
labels_seen = []
"""


def card(folder: Path, file: str, top: str = "", **options: Any) -> str:
    """A card beside the file, which pins it."""
    if "rows" in options:
        options.setdefault("rows_sha256", sha256(folder / options["rows"]))
    lines = "\n".join(f'{key} = "{value}"' for key, value in options.items())
    path = folder / "mine.toml"
    path.write_text(CARD.format(file=file, sha256=sha256(folder / file), options=lines, top=top))
    return str(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TableSuite(AdapterSuite):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def made(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Vectors of another teacher, for the suite's molecules in another spelling and order."""
        cls.folder = tmp_path_factory.mktemp("table")
        cls.smiles = list(SPELLINGS.values())[::-1]
        cls.vectors_of_other = embed(load_teacher("rdkit-descriptors"), list(SPELLINGS)[::-1])
        cls.teacher_name = cls.write()

    def test_the_numbers_are_those_of_the_table(self, vectors: dict[str, np.ndarray]) -> None:
        np.testing.assert_array_equal(list(vectors.values())[::-1], self.vectors_of_other)


class TestWhatFeaturizeWrote(TableSuite):
    @classmethod
    def write(cls) -> str:
        molmv.featurize(cls.smiles, model="rdkit-descriptors").save(str(cls.folder / "t.parquet"))
        return card(cls.folder, "t.parquet")


class TestNpyByRow(TableSuite):
    @classmethod
    def write(cls) -> str:
        np.save(cls.folder / "t.npy", np.asfortranarray(cls.vectors_of_other))
        (cls.folder / "corpus.smi").write_text("\n".join(cls.smiles))
        return card(cls.folder, "t.npy", rows="corpus.smi")


class TestCsvById(TableSuite):
    @classmethod
    def write(cls) -> str:
        ids = [f"M-{i}" for i in range(len(cls.smiles))]
        pd.DataFrame({"id": ids, "smiles": cls.smiles}).sample(frac=1, random_state=1).to_csv(cls.folder / "corpus.csv")
        frame = pd.DataFrame(cls.vectors_of_other, columns=[f"d{i}" for i in range(cls.vectors_of_other.shape[1])])
        frame.assign(id=ids).to_csv(cls.folder / "t.csv", index=False)
        return card(cls.folder, "t.csv", rows="corpus.csv", id="id", vector="d*")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three rows: ethanol, one that is not a molecule, benzene; float16."""
    np.save(tmp_path / "t.npy", np.array([[1, 2], [3, 4], [5, np.inf]], np.float16))
    (tmp_path / "corpus.smi").write_text("OCC\nCC(\nc1ccccc1\n")
    return tmp_path


def test_molecules_without_a_finite_vector_are_refused_with_a_reason(table: Path) -> None:
    teacher = load_teacher(card(table, "t.npy", rows="corpus.smi"))
    rows = teacher.screen(["C1=CC=CC=C1", "CCO", "CCN", "CC("])
    np.testing.assert_array_equal(teacher.embed(rows), [[np.nan] * 2, [1, 2], [np.nan] * 2, [np.nan] * 2])
    assert rows.status == ["error", "ok", "error", "invalid"]
    assert rows.reason[2] == "mine has no vector for this molecule"


def test_as_written_is_another_join(table: Path) -> None:
    teacher = load_teacher(card(table, "t.npy", "canonicalise = false", rows="corpus.smi"))
    np.testing.assert_array_equal(teacher.embed(teacher.screen(["CCO", "OCC"])), [[np.nan] * 2, [1, 2]])


def test_the_digest_follows_the_numbers(table: Path) -> None:
    before = load_teacher(card(table, "t.npy", rows="corpus.smi")).digest
    np.save(table / "t.npy", np.zeros((3, 2)))
    with pytest.raises(WeightsError, match=r"t\.npy is not the file of its card.*give its card that hash"):
        load_teacher(str(table / "mine.toml"))
    assert load_teacher(card(table, "t.npy", rows="corpus.smi")).digest != before


@pytest.mark.parametrize("difference", [0.0, 1e-4, 0.1])
def test_a_molecule_twice(difference: float, table: Path) -> None:
    np.save(table / "t.npy", np.array([[1, 2], [9, 9], [1, 2 + difference]]))
    (table / "corpus.smi").write_text("OCC\nCN\nC(O)C\n")
    name = card(table, "t.npy", rows="corpus.smi")
    if difference > 0.01:
        with pytest.raises(InputError, match=r"rows 0 and 2 \(counted from 0\) are one molecule, OCC, with different"):
            load_teacher(name)
    else:
        np.testing.assert_array_equal(embed(load_teacher(name), ["CCO", "CN"]), [[1, 2], [9, 9]])


@pytest.mark.parametrize(
    ("options", "corpus", "error", "message"),
    [
        ({"rows": "corpus.smi"}, "CCO\nC\n", InputError, r"t\.npy has 3 rows, .*corpus\.smi has 2"),
        (
            {"rows": "corpus.smi", "rows_sha256": ""},
            "C\n",
            CardError,
            r'needs rows_sha256, .* Now rows_sha256 = "{sha}"',
        ),
        ({"rows": "corpus.smi", "rows_sha256": "0" * 64}, "C\n", WeightsError, "expected sha256 000.*, found {sha}"),
        ({"rows": "corpus.smi"}, "x\ny\nz\n", InputError, "no row has both: 0 of 3 rows have a molecule, 2 finite"),
        ({"columns": "x"}, "", CardError, "a table has no option columns. Known: smiles, vector, rows"),
        ({}, "", InputError, "holds no SMILES .* option rows"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], corpus: str, error: type, message: str, table: Path) -> None:
    (table / "corpus.smi").write_text(corpus)
    with pytest.raises(error, match=message.format(sha=sha256(table / "corpus.smi"))):
        load_teacher(card(table, "t.npy", **options))


def test_one_id_of_two_molecules(tmp_path: Path) -> None:
    (tmp_path / "corpus.csv").write_text("id,smiles\na,C\nb,CC\na,CCC\n")
    (tmp_path / "t.csv").write_text("id,e0\na,1\nb,2\n")
    with pytest.raises(InputError, match="rows 0 and 2 have the id 'a' and other SMILES"):
        load_teacher(card(tmp_path, "t.csv", rows="corpus.csv", id="id"))


def test_a_real_corpus(tmp_path: Path, library: Path) -> None:
    """The store of a table made elsewhere is the store of the teacher that made it, bad rows and duplicates too."""
    molmv.featurize(pd.read_csv(library, keep_default_na=False).smiles.tolist(), model="maccs").save(
        str(tmp_path / "t.npz")
    )
    name, stores = card(tmp_path, "t.npz"), tmp_path / "stores"
    run = CliRunner().invoke(app, ["teachers", "embed", name, "maccs", str(library), "-o", str(stores)])
    assert run.exit_code == 0, run.output
    mine, maccs = EmbeddingStore(stores / "mine"), EmbeddingStore(stores / "maccs")
    assert (mine.status, len(mine)) == (maccs.status, 3020)
    np.testing.assert_array_equal(mine.keys, maccs.keys)
    np.testing.assert_array_equal(mine.take(np.arange(3020)), maccs.take(np.arange(3020)))


def test_a_table_is_not_held_in_memory(tmp_path: Path) -> None:
    smiles = [f"C{'C' * (i % 90)}{'O' * (i // 90)}" for i in range(900)]
    np.save(tmp_path / "t.npy", np.random.default_rng(0).random((900, 8)))
    (tmp_path / "corpus.smi").write_text("\n".join(smiles))
    adapter: Any = load_teacher(card(tmp_path, "t.npy", rows="corpus.smi")).adapter
    assert isinstance(adapter._vectors, np.memmap)
    canonical = [Chem.CanonSmiles(s) for s in smiles]
    np.testing.assert_array_equal(adapter.embed_batch(canonical), np.load(tmp_path / "t.npy").astype(np.float32))


def test_errors_are_molmvs(table: Path) -> None:
    (table / "t.npy").write_bytes(b"x" * 99)
    with pytest.raises(MolmvError, match="magic string"):
        load_teacher(card(table, "t.npy", rows="corpus.smi"))

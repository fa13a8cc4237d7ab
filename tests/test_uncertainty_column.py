"""`featurize` with uncertainty: one column more in every kind of file, empty where a row is refused."""

from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

import molmv
from molmv.errors import CheckpointError, InputError
from molmv.featurizing import featurize_file

SMILES = ["CCO", "CC(", "c1ccccc1", "CCN"]


class Unsure(FakeEmbedder):
    """Its uncertainty is the first number of the embedding, squared."""

    def uncertainty(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0] ** 2


def test_in_memory():
    found = molmv.featurize(SMILES, Unsure(), uncertainty=True)
    np.testing.assert_array_equal(found.uncertainty, found.X[:, 0] ** 2)
    assert np.isnan(found.uncertainty).tolist() == [False, True, False, False]
    assert found.to_frame()["uncertainty"].isna().sum() == 1
    assert molmv.featurize(SMILES, Unsure()).uncertainty is None


@pytest.mark.parametrize("ending", ["parquet", "csv", "npz"])
@pytest.mark.parametrize("chunk", [2, 100])
def test_in_a_file(tmp_path: Path, ending: str, chunk: int):
    source, out = tmp_path / "in.csv", tmp_path / f"out.{ending}"
    source.write_text("name,smiles\n" + "".join(f"m{i},{text}\n" for i, text in enumerate(SMILES)))
    featurize_file(source, out, Unsure(), id_column="name", uncertainty=True, chunk_size=chunk)
    found, expected = molmv.load_embeddings(out), molmv.featurize(SMILES, Unsure(), uncertainty=True)
    np.testing.assert_allclose(found.uncertainty, expected.uncertainty, rtol=1e-6)
    np.testing.assert_allclose(found.X, expected.X, rtol=1e-6)
    assert found.ids == ["m0", "m1", "m2", "m3"]
    again = tmp_path / f"again.{ending}"
    found.save(again)
    np.testing.assert_allclose(molmv.load_embeddings(again).uncertainty, expected.uncertainty, rtol=1e-6)


def test_a_resumed_run_is_another_job_with_it(tmp_path: Path):
    from molmv.errors import OutputError

    source, out = tmp_path / "in.smi", tmp_path / "out.parquet"
    source.write_text("\n".join(SMILES) + "\n")
    featurize_file(source, out, Unsure())
    with pytest.raises(OutputError, match=r"options\.uncertainty .* changed"):
        featurize_file(source, out, Unsure(), resume=True, uncertainty=True)


def test_a_model_without_it_is_refused_before_the_work(tmp_path: Path):
    source = tmp_path / "in.smi"
    source.write_text("CCO\n")
    with pytest.raises(InputError, match="knows no uncertainty"):
        featurize_file(source, tmp_path / "out.csv", FakeEmbedder(), uncertainty=True)
    with pytest.raises(CheckpointError, match="has no heads"):
        featurize_file(source, tmp_path / "out.csv", "molmv-small", uncertainty=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.smi"]


def test_an_id_column_of_that_name_is_refused(tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_text("uncertainty,smiles\n1,CCO\n")
    with pytest.raises(InputError, match="'uncertainty' of its own"):
        featurize_file(source, tmp_path / "out.csv", Unsure(), id_column="uncertainty")

"""The featurizer in DeepChem's own loaders and models, and MoleculeNet in ours."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from typer.testing import CliRunner

import molmv
from molmv.cli import app
from molmv.errors import InputError, RefusedRowsError, UnknownNameError
from molmv.evaluate import moleculenet
from molmv.evaluate.tasks import load_task

dc = pytest.importorskip("deepchem")

from molmv.deepchem import MolmvFeaturizer  # noqa: E402

SMILES = ["CCO", "not a molecule", "c1ccccc1O"]


def test_one_row_a_molecule():
    featurizer = MolmvFeaturizer()
    X = featurizer.featurize(SMILES)
    np.testing.assert_array_equal(X, molmv.featurize(SMILES).X)
    assert X.dtype == np.float32
    assert np.isnan(X[1]).all()
    mols = [Chem.MolFromSmiles("CCO"), None, Chem.MolFromSmiles("Oc1ccccc1")]
    np.testing.assert_allclose(featurizer(mols), X, atol=1e-5)
    for one in ("CCO", mols[0]):
        np.testing.assert_allclose(featurizer.featurize(one), X[:1], atol=1e-5)
    assert featurizer.featurize([]).shape == (0, 512)
    with pytest.raises(RefusedRowsError, match="Row 1"):
        MolmvFeaturizer(on_invalid="raise").featurize(SMILES)


def test_parameters():
    assert MolmvFeaturizer("maccs").featurize(["CCO"]).shape == (1, 166)
    for wrong in ({"on_invalid": "drop"}, {"n_jobs": 0}):
        with pytest.raises(InputError):
            MolmvFeaturizer(**wrong)
    with pytest.raises(UnknownNameError):
        MolmvFeaturizer("nothing")
    assert str(MolmvFeaturizer()) != str(MolmvFeaturizer("maccs"))
    assert "/" not in str(MolmvFeaturizer())


def test_processes_and_progress(monkeypatch):
    monkeypatch.setattr("molmv.deepchem.CHUNK", 2)
    seen = []
    smiles = [*SMILES, "CCN", "CCC"]
    X = MolmvFeaturizer(n_jobs=2, progress=lambda done, total: seen.append((done, total))).featurize(smiles)
    np.testing.assert_allclose(X, molmv.featurize(smiles).X, atol=1e-5)
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.fixture(scope="module")
def solubility(shared_data, tmp_path_factory):
    """Real measurements in the layout of MoleculeNet's delaney, whose own file is not here; two rows are broken."""
    frame = pd.read_csv(shared_data / "tdc" / "Solubility_AqSolDB.csv").head(150)
    frame.columns = ["smiles", "measured log solubility in mols per litre"]
    frame.loc[3, "smiles"] = "not a molecule"
    frame.loc[5, "smiles"] = ""
    folder = tmp_path_factory.mktemp("mirror") / "moleculenet"
    folder.mkdir()
    frame.to_csv(folder / "delaney-processed.csv", index=False)
    return folder


def test_csv_loader_keeps_every_row(solubility):
    label = "measured log solubility in mols per litre"
    loader = dc.data.CSVLoader([label], feature_field="smiles", featurizer=MolmvFeaturizer())
    dataset = loader.create_dataset(str(solubility / "delaney-processed.csv"))
    assert dataset.X.shape == (150, 512)
    assert np.flatnonzero(np.isnan(dataset.X).any(axis=1)).tolist() == [3, 5]


def test_moleculenet_loader_and_a_model(shared_data, tmp_path):
    # Enough rows that a score of the tenth that is tested says something, whatever the split: DeepChem draws its own.
    frame = pd.read_csv(shared_data / "tdc" / "Solubility_AqSolDB.csv").sample(1500, random_state=0)
    frame.columns = ["smiles", "measured log solubility in mols per litre"]
    frame.to_csv(tmp_path / "delaney-processed.csv", index=False)
    tasks, (train, _, test), _ = dc.molnet.load_delaney(
        MolmvFeaturizer(), "random", ["normalization"], data_dir=str(tmp_path), save_dir=str(tmp_path / "saved")
    )
    train, test = (d.select(np.flatnonzero(np.isfinite(d.X).all(axis=1)).tolist()) for d in (train, test))
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = dc.models.SklearnModel(make_pipeline(StandardScaler(), RidgeCV([10, 100, 1000])))
    model.fit(train)
    scores = model.evaluate(test, [dc.metrics.Metric(dc.metrics.pearson_r2_score)])
    assert scores["pearson_r2_score"] > 0.3
    assert len(tasks) == 1


def test_moleculenet_is_a_task(solubility, monkeypatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(solubility.parent))
    task = load_task("moleculenet:delaney")
    assert (len(task), task.kind, task.refused) == (148, "regression", 2)
    source = pd.read_csv(solubility / "delaney-processed.csv").drop(index=[3, 5])
    np.testing.assert_allclose(task.Y[:, 0], source.iloc[:, 1])
    for wrong in ("delany", "delaney:solubility"):
        with pytest.raises(UnknownNameError, match=r"Did you mean 'delaney'|has no label"):
            load_task(f"moleculenet:{wrong}")


@pytest.mark.slow
def test_evaluate_on_moleculenet(solubility, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(solubility.parent))
    command = ["evaluate", "-m", "molmv-small", "-t", "moleculenet:delaney", "--head", "linear"]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "evaluation")])
    assert result.exit_code == 0, result.output
    assert "delaney" in "".join(path.read_text() for path in (tmp_path / "evaluation").rglob("*.csv"))


def test_every_loader_exists():
    assert all(hasattr(dc.molnet, f"load_{name}") for name in moleculenet.NAMES)

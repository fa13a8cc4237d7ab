"""A small assay with a signal, and a predictor fitted on it once."""

import csv
from pathlib import Path

import numpy as np
import pytest
from assay_files import Write, write_assay
from fake_embedder import FakeEmbedder

pytest.importorskip("sklearn")
pytest.importorskip("skfp")

from molmv.predicting import FitResult, fit


@pytest.fixture
def assay_file(tmp_path: Path) -> Write:
    """Writes rows to a csv and gives its path."""
    return lambda rows, header=("smiles", "pIC50"), name="assay.csv": write_assay(tmp_path / name, rows, header)


@pytest.fixture(scope="session")
def measured(library: Path) -> list[tuple[str, float]]:
    """200 molecules of the library whose value is their number of heavy atoms, with noise."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    with library.open() as file:
        smiles = [line["smiles"] for line in csv.DictReader(file)]
    RDLogger.EnableLog("rdApp.*")
    found: dict[str, float] = {}
    random = np.random.default_rng(0)
    for text in smiles:
        mol = Chem.MolFromSmiles(text)
        if mol is not None and mol.GetNumAtoms():
            found.setdefault(Chem.MolToSmiles(mol), round(mol.GetNumHeavyAtoms() / 10 + random.normal(0, 0.1), 3))
        if len(found) == 200:
            break
    return list(found.items())


@pytest.fixture(scope="session")
def fitted(measured: list[tuple[str, float]], tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("fitted")
    path = write_assay(folder / "assay.csv", measured)
    return fit(path, "pIC50", FakeEmbedder(), split="random", head="linear", out=folder / "model", mlflow=None)


@pytest.fixture(scope="session")
def classified(measured: list[tuple[str, float]], tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("classified")
    rows = [(smiles, "active" if value > 1.5 else "inactive") for smiles, value in measured]
    path = write_assay(folder / "assay.csv", rows)
    return fit(path, "pIC50", FakeEmbedder(), split="random", head="linear", out=folder / "model", mlflow=None)

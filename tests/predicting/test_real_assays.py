"""On real data: intervals hold about what they promise, probabilities are about right, and the flag says something."""

from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skfp")

import molmv
from molmv.predicting import FitResult


@pytest.fixture(scope="module")
def permeability(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    path = shared_data / "tdc" / "Caco2_Wang.csv"
    options = {"split": "random", "head": "linear", "mlflow": None}
    return molmv.fit(path, "label", "maccs", out=tmp_path_factory.mktemp("real") / "model", **options)


def test_coverage_of_a_random_split(permeability: FitResult):
    """182 test molecules: 90 % ± 3 standard errors, of the test part and of the calibration."""
    assert 0.82 < permeability.figures["test.coverage"] < 0.97


def test_the_domain_holds_most_of_a_random_test_part(permeability: FitResult):
    assert permeability.figures["test.in_domain"] > 0.9


def test_probabilities_of_a_random_split(shared_data: Path, tmp_path: Path):
    path = shared_data / "tdc" / "BBB_Martins.csv"
    options = {"split": "random", "head": "linear", "mlflow": None}
    figures = molmv.fit(path, "label", "maccs", out=tmp_path / "model", **options).figures
    assert figures["test.calibration_error"] < 0.08
    assert figures["test.auroc"] > 0.8
    assert figures["test.bounds"] < 0.2

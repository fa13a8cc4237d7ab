import pytest

from molmv.testing.adapter import AdapterSuite

pytest.importorskip("skfp", reason="scikit-fingerprints is not installed")


class FingerprintSuite(AdapterSuite):
    packages = ("skfp",)


class TestEcfp(FingerprintSuite):
    teacher_name = "ecfp"


class TestTopologicalTorsionCount(FingerprintSuite):
    teacher_name = "topological-torsion-count"


class TestMaccsWithoutCard(FingerprintSuite):
    teacher_name = "skfp:MACCS"


@pytest.mark.slow
class TestThreeDimensional(FingerprintSuite):
    teacher_name = "skfp:USRCAT"

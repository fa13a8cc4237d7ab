from pathlib import Path

from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite, embed

CARD = str(Path(__file__).with_name("element-counts.toml"))


class TestElementCounts(AdapterSuite):
    teacher_name = CARD


def test_chloroform():
    assert embed(load_teacher(CARD), ["ClC(Cl)Cl"]).tolist() == [[1, 0, 0, 0, 0, 0, 3, 0, 0]]

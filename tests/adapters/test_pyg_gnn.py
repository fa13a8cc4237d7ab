"""Teachers on PyTorch Geometric; what they compute is tested in test_pretrain_gnn.py."""

from pathlib import Path

import pytest

from molmv.testing.adapter import AdapterSuite

pytest.importorskip("torch_geometric", reason="the extra pyg is not installed")


@pytest.fixture(scope="module", autouse=True)
def gnn(shared_data: Path) -> None:
    if not (shared_data / "gnn").is_dir():
        pytest.skip("no weights of the networks")


class PygGnnSuite(AdapterSuite):
    packages = ("torch_geometric.utils",)


class TestGcn(PygGnnSuite):
    teacher_name = "pretrain-gnn-gcn-contextpred"


class TestGraphSage(PygGnnSuite):
    teacher_name = "pretrain-gnn-graphsage-contextpred"


class TestGat(PygGnnSuite):
    teacher_name = "pretrain-gnn-gat-supervised-contextpred"

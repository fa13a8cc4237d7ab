"""Teachers on DGL; what they compute is tested in test_pretrain_gnn.py, here that PyTorch Geometric says the same."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molmv.cards import load_card
from molmv.models import load_teacher
from molmv.testing.adapter import AdapterSuite

if not find_spec("dgl"):  # not imported here: its import would write to the home of whoever runs this
    pytest.skip("the extra dgl is not installed", allow_module_level=True)

CARD = "pretrain-gnn-gat-contextpred-dgl"
NETWORKS = [f"pretrain-gnn-{a}-{p}contextpred" for p in ("", "supervised-") for a in ("gcn", "graphsage", "gat")]


@pytest.fixture(scope="module", autouse=True)
def gnn(shared_data: Path) -> None:
    if not (shared_data / "gnn").is_dir():
        pytest.skip("no weights of the networks")


class TestGat(AdapterSuite):
    teacher_name = CARD
    packages = ("dgl",)


@pytest.fixture(scope="module")
def molecules(shared_data: Path) -> list[str]:
    """500 of four sets, from a nitroarene to a macrocycle."""
    sets = ("AMES", "Caco2_Wang", "CYP3A4_Veith", "Solubility_AqSolDB")
    return [text for name in sets for text in pd.read_csv(shared_data / "tdc" / f"{name}.csv")["smiles"][::5][:125]]


@pytest.mark.parametrize("options", [{}, {"layer": 2, "pooling": "max"}, {"layer": 4, "pooling": "sum"}], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_pytorch_geometric(name: str, options: dict[str, object], molecules: list[str]) -> None:
    from molmv.adapters.dgl_gnn import DglGnn

    pyg_gnn = pytest.importorskip("molmv.adapters.pyg_gnn")
    pytest.importorskip("torch_geometric", reason="the extra pyg is not installed")
    card = load_card(name)
    card = replace(card, options={**card.options, **options})
    few = molecules if not options else molecules[::10]
    expected = pyg_gnn.PygGnn(card).embed_batch(few)
    assert len(few) == (500 if not options else 50)
    assert np.isfinite(expected).all(axis=1).mean() > 0.95
    np.testing.assert_allclose(DglGnn(card).embed_batch(few), expected, rtol=1e-4, atol=1e-4)


def test_nothing_is_printed_or_written_to_the_users_home(tmp_path: Path) -> None:
    code = f"from molmv.models import load_teacher; load_teacher({CARD!r}).adapter.embed_batch(['CCO'])"
    environment = {key: value for key, value in os.environ.items() if key != "DGLBACKEND"} | {"HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_the_teacher_is_that_of_pytorch_geometric() -> None:
    """The card says so."""
    ours, theirs = load_teacher(CARD, device="cpu"), load_card("pretrain-gnn-gat-contextpred")
    assert (ours.card.weights, ours.card.options) == (theirs.weights, theirs.options)

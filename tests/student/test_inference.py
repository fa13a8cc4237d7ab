"""The fast encoder gives the plain encoder's numbers, whatever stands beside a molecule and however it is written."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from molmv import molecules
from molmv.graphs import featurise
from molmv.student.gine import graph_tensors, make_encoder
from molmv.student.inference import FastEncoder
from molmv.table import open_table
from molmv.testing.student import MoleculeStudentSuite, random_smiles

GOOD, BAD = MoleculeStudentSuite.good, ("", "c1ccccc", None)
OPTIONS = [
    {},
    {"readout": "all"},
    {"hidden": 24},
    {"pooling": ["max"]},
    {"pooling": ["sum", "mean"], "expansion": 1},
    {"readout": "all", "layers": 1},
]


def fresh(**sizes) -> nn.Module:
    torch.manual_seed(3)
    encoder = make_encoder({"layers": 3, "width": 16, "embedding": 11, **sizes})
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.4)  # norms and epsilons too
    return encoder.eval()


def plain(encoder: nn.Module, smiles: list) -> torch.Tensor:
    graphs = featurise(molecules.screen(smiles))
    with torch.inference_mode():
        return encoder(graph_tensors(graphs.batch(np.arange(len(smiles)))))


def fast(encoder: FastEncoder, smiles: list) -> torch.Tensor:
    return encoder(featurise(molecules.screen(smiles)), 0, len(smiles))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("block", [1, 7, 512])
def test_equal_to_the_plain_encoder(monkeypatch: pytest.MonkeyPatch, options: dict, block: int):
    monkeypatch.setattr("molmv.student.inference.BLOCK_ROWS", {"cpu": block})
    encoder = fresh(**options)
    smiles = [*GOOD, *BAD, *GOOD[::-1]]
    torch.testing.assert_close(fast(FastEncoder(encoder), smiles), plain(encoder, smiles), rtol=1e-4, atol=1e-4)


@given(values=st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=10), seed=st.integers(0, 2**31 - 1))
def test_neighbours_in_a_batch_and_atom_order_change_nothing(values: list, seed: int):
    encoder = FastEncoder(ENCODER)
    written = [random_smiles(value, seed) if value in GOOD else value for value in values]
    torch.testing.assert_close(fast(encoder, written), plain(ENCODER, values), rtol=1e-4, atol=1e-4)


@given(data=st.data())
def test_any_rows_of_a_chunk(data: st.DataObject):
    start = data.draw(st.integers(0, len(GOOD)))
    stop = data.draw(st.integers(start, len(GOOD)))
    graphs = featurise(molecules.screen(GOOD))
    found = FastEncoder(ENCODER)(graphs, start, stop)
    assert found.shape == (stop - start, ENCODER.config.embedding)
    torch.testing.assert_close(found, plain(ENCODER, list(GOOD))[start:stop], rtol=1e-4, atol=1e-4)


def test_on_real_molecules(shared_data):
    table = open_table(shared_data / "tdc" / "AMES.csv")
    smiles = next(table.chunks(600)).values
    torch.testing.assert_close(fast(FastEncoder(ENCODER), smiles), plain(ENCODER, smiles), rtol=1e-4, atol=1e-4)


def test_bfloat16_is_within_a_hundredth():
    encoder = make_encoder({"layers": 4, "width": 64, "embedding": 32}).eval()
    found, expected = fast(FastEncoder(encoder, torch.bfloat16), list(GOOD)), plain(encoder, list(GOOD))
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert 0 < error.max() < 1e-2


ENCODER = fresh()

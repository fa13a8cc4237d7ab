"""What chemprop saves is opened, and nothing else: no object outside of the vocabulary, no network that needs more."""

import importlib.util
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from chemprop_networks import card, network, save

from molmv.adapters.chemprop_checkpoint import _vocabulary
from molmv.errors import WeightsError
from molmv.models import load_teacher

pytestmark = pytest.mark.filterwarnings("ignore")
if importlib.util.find_spec("chemprop") is None:
    pytest.skip("the extra chemprop is not installed", allow_module_level=True)


def descriptors(folder: Path) -> str:
    return save(folder, network(more=200))


def atom_descriptors(folder: Path) -> str:
    return save(folder, network(d_vd=7))


def atom_features(folder: Path) -> str:
    return save(folder, network(widths=(75, 14)))


def two_molecules(folder: Path) -> str:
    from chemprop import models, nn

    blocks = nn.MulticomponentMessagePassing([nn.BondMessagePassing(d_h=24) for _ in range(2)], n_components=2)
    head = nn.RegressionFFN(input_dim=blocks.output_dim)
    return save(folder, models.MulticomponentMPNN(blocks, nn.MeanAggregation(), head))


def atoms_and_bonds(folder: Path) -> str:
    from chemprop import models, nn

    block = nn.MABBondMessagePassing(d_h=24)
    return save(folder, models.MolAtomBondMPNN(block, nn.MeanAggregation(), nn.RegressionFFN(input_dim=24)))


def version_1(folder: Path) -> str:
    from argparse import Namespace

    torch.save({"args": Namespace(depth=3), "state_dict": {}}, folder / "model.pt")
    return "model.pt"


def harmful(folder: Path) -> str:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "harmed"),)

    torch.save({"hyper_parameters": Harm(), "state_dict": {}}, folder / "model.pt")
    return "model.pt"


def other_model(folder: Path) -> str:
    torch.save({"weight": torch.ones(2)}, folder / "model.pt")
    return "model.pt"


def not_torch(folder: Path) -> str:
    (folder / "model.pt").write_bytes(b"not a checkpoint")
    return "model.pt"


def cut_weights(folder: Path) -> str:
    save(folder, network())
    content = torch.load(folder / "model.pt", weights_only=False)
    del content["state_dict"]["message_passing.W_h.weight"]
    torch.save(content, folder / "model.pt")
    return "model.pt"


REFUSED = {
    descriptors: "inputs that are not in a SMILES: 200 descriptors of each molecule",
    atom_descriptors: "inputs that are not in a SMILES: 7 descriptors of each atom",
    atom_features: "75 features an atom and 14 a bond, not 133 and 14, 72 and 14",
    two_molecules: "is not opened, because it holds .*MulticomponentMessagePassing",
    atoms_and_bonds: "is not opened, because it holds .*MABBondMessagePassing",
    version_1: "is not opened, because it holds argparse.Namespace",
    harmful: r"is not opened, because it holds posix\.mkdir",
    other_model: "holds no network of chemprop: KeyError: 'hyper_parameters'",
    not_torch: "holds no network of chemprop",
    cut_weights: r"holds no network of chemprop: .*Missing key.*message_passing\.W_h\.weight",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_is_refused(make: Callable[[Path], str], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"Teacher 'mine': .*model\.pt.*{REFUSED[make]}"):
        load_teacher(card(tmp_path, [make(tmp_path)]), device="cpu")
    assert not (tmp_path / "harmed").exists()


def test_a_class_that_is_no_part_of_a_network_is_not_called(tmp_path: Path) -> None:
    """``weights_only`` knows more classes than the vocabulary; a setting may not name them."""
    content = torch.load(tmp_path / save(tmp_path, network()), weights_only=False)
    content["hyper_parameters"]["agg"] = {"cls": torch.nn.Parameter}
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"holds no network of chemprop: ValueError: .*Parameter.* is no part"):
        load_teacher(card(tmp_path, ["model.pt"]), device="cpu")


def test_attributes_are_those_of_activations_only():
    """Python 3.11.0 to 3.11.3 write a member of an enum as a call of ``getattr``; it must not reach anything else."""
    from chemprop.nn.utils import Activation

    getattr_ = _vocabulary()["builtins.getattr"]
    assert getattr_(Activation, "RELU") is Activation.RELU
    for kind, name in [(Activation, "__class__"), (str, "RELU"), (torch, "load"), (Activation, "mro"), (None, None)]:
        with pytest.raises(pickle.UnpicklingError, match="an attribute"):
            getattr_(kind, name)

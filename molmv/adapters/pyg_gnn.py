"""The pretrained graph networks of :mod:`molmv.adapters.pretrain_gnn` on PyTorch Geometric."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from molmv.adapters.pretrain_gnn import PretrainGnn
from molmv.adapters.pretrain_gnn_features import Graph
from molmv.cards import TeacherCard
from molmv.errors import MissingExtraError


class PygGnn(PretrainGnn):
    """Embeds SMILES; options and errors are those of :class:`~molmv.adapters.pretrain_gnn.PretrainGnn`.

    Raises:
        MissingExtraError: PyTorch Geometric is not installed.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        try:
            import torch_geometric.utils  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(error.name or "torch-geometric", "pyg") from error
        super().__init__(card, device=device)

    def passing(self, graph: Graph) -> PygPassing:
        """Messages gathered at their sources and scattered to their targets."""
        return PygPassing(graph, self._device)


class PygPassing:
    """A :class:`~molmv.adapters.pretrain_gnn.MessagePassing` of PyTorch Geometric's scatter and softmax."""

    def __init__(self, graph: Graph, device: torch.device) -> None:
        self.source, self.target = torch.from_numpy(graph.ends).to(device)
        self._molecule = torch.repeat_interleave(torch.from_numpy(graph.sizes).to(device))
        self._atoms, self._molecules = len(graph.atoms), len(graph.sizes)

    def sum(
        self, x: Float[Tensor, "atoms heads dim"], share: Float[Tensor, "edges heads"]
    ) -> Float[Tensor, "atoms heads dim"]:
        """For each atom, the sum of ``share * x[source]`` over the edges that reach it."""
        return self.sum_edges(x[self.source] * share[:, :, None])

    def sum_edges(self, values: Float[Tensor, "edges *values"]) -> Float[Tensor, "atoms *values"]:  # noqa: F821 (a shape)
        """For each atom, the sum of what the edges that reach it carry."""
        from torch_geometric.utils import scatter

        return scatter(values, self.target, dim=0, dim_size=self._atoms, reduce="sum")

    def softmax(self, scores: Float[Tensor, "edges heads"]) -> Float[Tensor, "edges heads"]:
        """Softmax over the edges that reach the same atom."""
        from torch_geometric.utils import softmax

        return softmax(scores, self.target, num_nodes=self._atoms, dim=0)

    def pool(self, h: Float[Tensor, "atoms dim"], how: str) -> Float[Tensor, "molecules dim"]:
        """For each molecule the ``mean``, ``sum`` or ``max`` of its atoms."""
        from torch_geometric.utils import scatter

        return scatter(h, self._molecule, dim=0, dim_size=self._molecules, reduce=how)

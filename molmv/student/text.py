"""The better text student: a small transformer over the tokens of a text, and their mean.

Layers are those of Vaswani et al. (arXiv:1706.03762) with the norm first; positions are learnt. As in MiniLM (Wang et
al., arXiv:2002.10957) it is what a larger encoder is distilled into; here many, by what they say of a text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from molmv.errors import ConfigError
from molmv.student.folding import fold_into
from molmv.student.sizes import read_sizes, whole_numbers
from molmv.student.text_inputs import TextTensors

# Texts of a batch that are padded together; they are sorted by length first, so that little is padding.
GROUP = 64


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a text student.

    Attributes:
        vocabulary: rows of the table of tokens.
        layers: of the transformer.
        width: channels of a token.
        heads: of attention.
        expansion: hidden width of a layer, in multiples of ``width``.
        embedding: width of a text's embedding.
        max_tokens: of a text that are read.
        dropout: chance that a token is left out of a training step.
    """

    vocabulary: int
    layers: int = 2
    width: int = 192
    heads: int = 4
    expansion: int = 2
    embedding: int = 384
    max_tokens: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        whole_numbers(self, "vocabulary", "layers", "width", "heads", "expansion", "embedding", "max_tokens")
        if self.width % self.heads:
            raise ConfigError(f"student.heads: {self.heads} do not divide a width of {self.width}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"student.dropout: expected 0 … 1, got {self.dropout!r}.")


class TextLayer(nn.Module):
    """Attention and a hidden layer, each added to what it was given.

    Args:
        width: channels of a token.
        heads: of attention.
        expansion: hidden width in multiples of ``width``.
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(
        self, h: Float[Tensor, "texts tokens width"], seen: Bool[Tensor, "texts 1 1 tokens"]
    ) -> Float[Tensor, "texts tokens width"]:
        """Tokens after the layer; what is not ``seen`` tells the others nothing."""
        asked = self.ask(self.attention_norm(h)).unflatten(2, (3, self.heads, -1))
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        told = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        h = h + self.answer(told.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm(h))


class TextEncoder(nn.Module):
    """Tokens in, one embedding a text out.

    Args:
        config: its sizes.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        nn.init.normal_(self.tokens.weight, std=0.5)
        nn.init.normal_(self.positions.weight, std=0.1)
        self.layers = nn.ModuleList(
            TextLayer(config.width, config.heads, config.expansion) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.readout = nn.Linear(config.width, config.embedding)

    def forward(self, texts: TextTensors) -> Float[Tensor, "texts embedding"]:
        """Embeddings of all texts; of one without tokens whatever the bias of the readout says."""
        lengths = texts.offsets.diff()
        order = lengths.argsort(stable=True)
        ids = nn.functional.pad(texts.ids, (0, 1))  # the last one stands for every place behind a text's end
        pooled = [self._pooled(ids, texts.offsets[rows], lengths[rows]) for rows in order.split(GROUP)]
        return self.readout(torch.cat(pooled)[order.argsort()])

    def _pooled(
        self, ids: Int64[Tensor, " tokens"], starts: Int64[Tensor, " texts"], lengths: Int64[Tensor, " texts"]
    ) -> Float[Tensor, "texts width"]:
        """Mean of the tokens of texts of about one length, padded to the longest of them."""
        place = torch.arange(max(int(lengths.max()), 1), device=lengths.device)
        inside = place < lengths[:, None]
        seen = inside
        if self.training and self.config.dropout:
            seen = inside & (torch.rand(inside.shape, device=inside.device) >= self.config.dropout)
            seen = seen | (inside & ~seen.any(1, keepdim=True))  # never all of them
        h = self.tokens(ids[torch.where(inside, starts[:, None] + place, -1)]) + self.positions(place)
        for layer in self.layers:
            h = layer(h, (seen | ~inside.any(1, keepdim=True))[:, None, None])
        weight = (seen / seen.sum(1, keepdim=True).clamp(min=1)).to(h)
        return torch.einsum("bth,bt->bh", self.norm(h), weight)

    def turn(self, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"]) -> None:
        """Make the embedding A z + a where it was z."""
        fold_into(self.readout, A, a)


def make_encoder(sizes: Mapping[str, Any]) -> TextEncoder:
    """A fresh encoder from plain sizes.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    return TextEncoder(read_sizes(TextConfig, sizes, ignored=("tokenizer",)))

r"""The fast text student: a table with a vector and a weight for each token, and what it makes of their mean.

.. math:: z(x) = f\Big(\frac{\sum_i e^{a_i}\, v_i}{\sum_i e^{a_i}}\Big)

over the tokens i of a text, with a vector v and a weight a for each token; f is the identity, or a residual network
of one hidden layer. No token sees another, so that words can be summed once and texts are looked up word by word; as in
fastText (Joulin et al., arXiv:1607.01759) and model2vec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molmv.errors import ConfigError
from molmv.student.sizes import read_sizes, whole_numbers
from molmv.student.text_inputs import MAX_TOKENS, TextTensors


@dataclass(frozen=True)
class StaticTextConfig:
    """Sizes of a static text student.

    Attributes:
        vocabulary: rows of the table.
        embedding: width of the table and of a text's embedding.
        hidden: width of the hidden layer behind the mean; 0 = none.
        max_tokens: of a text that are read.
        dropout: chance that a token is left out of a training step.
    """

    vocabulary: int
    embedding: int = 256
    hidden: int = 0
    max_tokens: int = MAX_TOKENS
    dropout: float = 0.0

    def __post_init__(self) -> None:
        whole_numbers(self, "vocabulary", "embedding", "max_tokens")
        whole_numbers(self, "hidden", least=0)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"student.dropout: expected 0 … 1, got {self.dropout!r}.")


class StaticTextEncoder(nn.Module):
    """Tokens in, one embedding a text out.

    Args:
        config: its sizes.
    """

    def __init__(self, config: StaticTextConfig) -> None:
        super().__init__()
        self.config = config
        self.vectors = nn.Embedding(config.vocabulary, config.embedding)
        self.weights = nn.Embedding(config.vocabulary, 1)
        # Short: a rare word is met a few times only, and should not be drowned by where it began.
        nn.init.normal_(self.vectors.weight, std=config.embedding**-0.5)
        nn.init.zeros_(self.weights.weight)
        self.after = (
            nn.Sequential(
                nn.LayerNorm(config.embedding),
                nn.Linear(config.embedding, config.hidden),
                nn.GELU(),
                nn.Linear(config.hidden, config.embedding),
            )
            if config.hidden
            else None
        )

    def forward(self, texts: TextTensors) -> Float[Tensor, "texts embedding"]:
        """Embeddings of all texts; of one without tokens that of the mean 0."""
        weights = self.weights(texts.ids)[:, 0].exp()
        if self.training and self.config.dropout:
            weights = weights * (torch.rand_like(weights) >= self.config.dropout)
        sums = nn.functional.embedding_bag(
            texts.ids,
            self.vectors.weight,
            texts.offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )
        lengths = texts.offsets.diff()
        total = torch.segment_reduce(weights, "sum", lengths=lengths, axis=0, initial=0.0)
        return self.finish(sums, total)

    def finish(
        self, sums: Float[Tensor, "texts embedding"], total: Float[Tensor, " texts"]
    ) -> Float[Tensor, "texts embedding"]:
        """From weighted sums of vectors, and sums of weights, to embeddings."""
        mean = sums / total.clamp(min=1e-6)[:, None]
        return mean if self.after is None else mean + self.after(mean)

    def turn(self, A: Float[Tensor, "new embedding"], a: Float[Tensor, " new"]) -> None:
        """Make the embedding A z + a where it was z.

        Raises:
            ConfigError: a hidden layer behind the mean.
        """
        if self.after is not None:
            raise ConfigError("student.hidden: a student with a hidden layer cannot be turned; train one with 0.")
        self.vectors.weight = nn.Parameter(self.vectors.weight @ A.T + a)
        self.vectors.embedding_dim = len(a)


def make_encoder(sizes: Mapping[str, Any]) -> StaticTextEncoder:
    """A fresh encoder from plain sizes.

    Raises:
        ConfigError: an unknown or impossible size.
    """
    return StaticTextEncoder(read_sizes(StaticTextConfig, sizes, ignored=("tokenizer",)))

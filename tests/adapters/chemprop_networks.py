"""Small networks of chemprop, saved by chemprop, and cards for them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

CARD = """
name = "{name}"
modality = "molecule"
adapter = "chemprop_mpnn"
dim = 0
likelihood = "gaussian"
extra = "chemprop"

[options]
{options}

[weights]
file = "{file}"
sha256 = "{sha256}"
more = {{ {more} }}

[provenance]
licence = "MIT"
trained_on = []
labels_seen = []
"""


def card(folder: Path, files: Sequence[str], options: str = "", name: str = "mine") -> str:
    """The path of a card for files of that folder."""
    first, *more = ((file, hashlib.sha256((folder / file).read_bytes()).hexdigest()) for file in files)
    rest = ", ".join(f'"{file}" = "{sha256}"' for file, sha256 in more)
    path = folder / f"{name}.toml"
    path.write_text(CARD.format(name=name, file=first[0], sha256=first[1], options=options, more=rest))
    return str(path)


def network(
    message_passing: str = "BondMessagePassing",
    agg: Any = None,
    predictor: str = "RegressionFFN",
    norm: bool = True,
    widths: tuple[int, int] = (72, 14),
    more: int = 0,
    ffn: dict[str, Any] | None = None,
    metrics: Any = None,
    **block: Any,
) -> Any:
    """An MPNN of chemprop that has seen a batch, so that its batch norm is not the identity."""
    from chemprop import models, nn

    torch.manual_seed(1)
    block = {"d_h": 24, "d_v": widths[0], "d_e": widths[1], **block}
    mp = getattr(nn, message_passing)(**block)
    head = getattr(nn, predictor)(input_dim=mp.output_dim + more, hidden_dim=16, n_layers=2, **(ffn or {}))
    model = models.MPNN(mp, agg or nn.NormAggregation(norm=10.0), head, batch_norm=norm, metrics=metrics)
    if norm:
        model.bn.running_mean.uniform_(-0.1, 0.1)
        model.bn.running_var.uniform_(0.01, 0.1)
    return model


def save(folder: Path, model: Any, file: str = "model.pt") -> str:
    from chemprop.models import save_model

    save_model(folder / file, model)
    return file

"""A text student or teacher as a model of MTEB, the field's own runner (Muennighoff et al., arXiv:2210.07316)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from molmv.embedder import Embedder
from molmv.errors import InputError, MissingExtraError
from molmv.models import load_embedder

try:
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
except ImportError as error:
    raise MissingExtraError("mteb", "mteb") from error


class MtebModel(AbsEncoder):  # type: ignore[misc]
    """What ``mteb.evaluate`` takes as its model: texts in, vectors out, compared by their cosine.

    MTEB calls it ``molmv/NAME`` and keeps its scores under that name and the hash of its weights. A text without a
    vector (an empty one, say) counts as the vector 0, which is alike to nothing, and is warned of.

    Args:
        model: name of a student or teacher of texts, a checkpoint folder, a card, or a model that is loaded already.
        device: ``auto``, ``cpu``, ``cuda``, …; of a model given by name.

    Raises:
        InputError: a model that reads no texts.
        UnknownNameError: no model of that name.
        MissingExtraError: mteb is not installed.
    """

    def __init__(self, model: str | Embedder, device: str = "auto") -> None:
        embedder = load_embedder(model, device) if isinstance(model, str) else model
        reads = getattr(embedder, "modality", "molecule")
        if reads != "text":
            raise InputError(f"{embedder.name!r} is a model of modality {reads}.", "Here MTEB is given texts only.")
        self.model = embedder
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"molmv/{embedder.name.replace('/', '-')}",
                "revision": embedder.digest,
                "embed_dim": embedder.dim,
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": False,
            }
        )

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> Float32[np.ndarray, "n dim"]:
        """Vectors of all texts, in order.

        Args:
            inputs: MTEB's batches, of which ``text`` is read.
            **_: what else MTEB says of them; no model here needs it.
        """
        vectors = [np.empty((0, self.model.dim), np.float32)]
        refused: list[str] = []
        for batch in inputs:
            rows = self.model.screen(list(batch["text"]))
            X = self.model.embed(rows)
            X[~rows.valid] = 0
            vectors.append(X)
            refused += [reason for reason, good in zip(rows.reason, rows.valid, strict=True) if not good]
        if refused:
            warnings.warn(f"{len(refused)} texts have no vector and count as 0; the first: {refused[0]}", stacklevel=2)
        return np.concatenate(vectors)

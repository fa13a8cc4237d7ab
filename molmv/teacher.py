"""A teacher: a card, and an adapter that embeds one batch. All else (validation, batching, isolation) is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from molmv import heartbeat, modality
from molmv.cards import Provenance, TeacherCard
from molmv.errors import MolmvError, TeacherError
from molmv.rows import ERROR, TRUNCATED, Rows, row_keys


class Adapter(Protocol):
    """What a family of teachers has to supply.

    It may also have a method ``remarks(inputs) -> Mapping[int, str]``: what a reader has to know of some rows, by their
    place in the batch. A row with a vector then gets the status ``truncated`` (the vector was made from a part of the
    input, and the remark says which), a row without one the remark as its reason.

    Where its attribute ``takes_parsed`` is true, the inputs are what its modality parses (RDKit molecules, decoded
    images) instead of canonical spellings; its vectors must be the same for inputs of one spelling.

    Attributes:
        dim: width of its vectors.
    """

    dim: int

    def embed_batch(self, inputs: Sequence[Any]) -> np.ndarray:
        """Vectors ``(len(inputs), dim)`` of valid inputs, in order; a NaN row for one that it cannot embed."""
        ...


class Teacher:
    """An :class:`~molmv.embedder.Embedder` made of a card and an adapter.

    Args:
        card: what the teacher is.
        adapter: what embeds a batch.
        batch_size: inputs in one call of the adapter.

    Raises:
        TeacherError: the adapter's width is not the card's.
        UnknownNameError: nothing reads the card's modality.
    """

    def __init__(self, card: TeacherCard, adapter: Adapter, batch_size: int = 256) -> None:
        if card.dim and card.dim != adapter.dim:
            raise TeacherError(f"Teacher {card.name!r}: its card says {card.dim} dimensions, it has {adapter.dim}.")
        self.card, self.adapter, self.batch_size = card, adapter, batch_size
        self.name, self.dim, self.digest, self.modality = card.name, adapter.dim, card.digest, card.modality
        self._reads = modality.of(card.modality)
        self.provenance: dict[str, Any] = {"teacher": card.name, **_plain(card.provenance)}

    @classmethod
    def from_callable(
        cls,
        function: Callable[[Sequence[str]], np.ndarray],
        dim: int,
        name: str,
        likelihood: str = "gaussian",
        canonicalise: bool = True,
        modality: str = "molecule",
    ) -> Teacher:
        """A teacher from any function of SMILES, texts, ….

        Args:
            function: takes n inputs, returns an array ``(n, dim)``; a NaN row for one that it cannot embed.
            dim: width of its vectors.
            name: how to call it.
            likelihood: how its outputs are distributed.
            canonicalise: give it the canonical spelling (RDKit's SMILES) instead of the user's.
            modality: what it reads.
        """
        card = TeacherCard(
            name=name,
            modality=modality,
            adapter="callable",
            dim=dim,
            likelihood=likelihood,
            canonicalise=canonicalise,
            provenance=Provenance("unknown", (), ()),
        )
        return cls(card, _Callable(function, dim))

    def screen(self, values: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
        """See :attr:`molmv.modality.Modality.screen`."""
        return self._reads.screen(values, problems)

    def embed(self, rows: Rows) -> Float32[np.ndarray, "n dim"]:
        """Vectors of all rows, in order; NaN where refused. ``rows`` is changed in place."""
        parsed = self._reads.parse(rows)
        if self._takes_parsed or not self.card.canonicalise:
            return self._embed(rows, parsed if self._takes_parsed else rows.inputs)
        return self._embed(rows, self._reads.canonical(parsed))

    def embed_with_keys(self, rows: Rows) -> tuple[Float32[np.ndarray, "n dim"], np.ndarray]:
        """As :meth:`embed`, and the hash of each row's canonical spelling (0 where refused)."""
        parsed = self._reads.parse(rows)
        canonical = self._reads.canonical(parsed)
        inputs: Sequence[Any] = canonical if self.card.canonicalise else rows.inputs
        out = self._embed(rows, parsed if self._takes_parsed else inputs)
        return out, row_keys([c if ok else "" for c, ok in zip(canonical, rows.valid, strict=True)])

    @property
    def _takes_parsed(self) -> bool:
        return getattr(self.adapter, "takes_parsed", False)

    def _embed(self, rows: Rows, inputs: Sequence[Any]) -> np.ndarray:
        inputs = list(inputs)  # a row that is refused on the way loses its text
        out = np.full((len(rows), self.dim), np.nan, dtype=np.float32)
        good = rows.good
        for start in range(0, len(good), self.batch_size):
            piece = good[start : start + self.batch_size]
            out[piece] = self._embed_piece(rows, piece, [inputs[i] for i in piece])
        return out

    def _embed_piece(self, rows: Rows, piece: Sequence[int], inputs: list[Any]) -> np.ndarray:
        """One batch; if the adapter fails on it, row by row, so that only the culprits are refused."""
        try:
            values, remarks = self._checked(inputs)
        except MolmvError:
            raise
        except Exception as error:  # a teacher is foreign code: whatever it raises costs its row, not the run
            if len(piece) == 1:
                why = " ".join(str(error).split())[:200]  # on one line
                rows.refuse(piece[0], ERROR, f"{self.name}: {type(error).__name__}: {why}")
                return np.full((1, self.dim), np.nan, dtype=np.float32)
            single = [self._embed_piece(rows, [i], [text]) for i, text in zip(piece, inputs, strict=True)]
            return np.concatenate(single)
        for k, finite in enumerate(np.isfinite(values).all(axis=1)):
            if not finite:
                rows.refuse(piece[k], ERROR, remarks.get(k, f"{self.name} has no vector for this {self.modality}"))
            elif k in remarks:
                rows.mark(piece[k], TRUNCATED, remarks[k])
        return np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)

    def _checked(self, inputs: list[Any]) -> tuple[np.ndarray, Mapping[int, str]]:
        with self._reads.quiet():
            values = np.asarray(self.adapter.embed_batch(inputs), dtype=np.float32)
            remark = getattr(self.adapter, "remarks", None)
            remarks = {k: f"{self.name}: {why}" for k, why in remark(inputs).items()} if remark else {}
        heartbeat.beat()
        if values.shape != (len(inputs), self.dim):
            raise TeacherError(
                f"Teacher {self.name!r} was given {len(inputs)} {self.modality}s and returned an array of shape "
                f"{values.shape}; expected ({len(inputs)}, {self.dim}).",
                "Its adapter must return one row for each input, in order.",
            )
        return values, remarks


class _Callable:
    def __init__(self, function: Callable[[Sequence[str]], np.ndarray], dim: int) -> None:
        self.embed_batch, self.dim = function, dim


def _plain(provenance: Provenance) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in provenance.__dict__.items() if v}

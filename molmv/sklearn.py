"""Molecular embeddings as a scikit-learn transformer: SMILES in, one row of numbers a molecule out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Shaped

from molmv.errors import CheckpointError, InputError, MissingExtraError, RefusedRowsError
from molmv.featurizing import DEFAULT_MODEL, featurize
from molmv.models import load_embedder
from molmv.molecules import as_smiles

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError as error:
    raise MissingExtraError("scikit-learn", "sklearn") from error

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from molmv.embedder import Embedder

ON_INVALID = ("nan", "raise")


class MoleculeEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embeds molecules with a student or a teacher; row i of the output is row i of the input.

    Nothing is learnt: :meth:`transform` works without :meth:`fit`, which only notes which weights were used. The
    model is held by its name. A pickle is small, does not hold the weights, and refuses to work with other ones.
    Candidates of a search embed again and again; ``Pipeline(..., memory=folder)`` keeps what was embedded.

    Args:
        model: name of a student or teacher, or a checkpoint folder.
        on_invalid: what becomes of a row that cannot be embedded: ``nan``, a row of NaN, or ``raise``.
        device: ``auto``, ``cpu``, ``cuda``, ….
        batch_size: molecules at a time; by default that of the model.

    Attributes:
        digest_: SHA-256 of the model's weights.
        n_features_out_: width of the embedding.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> from sklearn.pipeline import make_pipeline
        >>> model = make_pipeline(MoleculeEmbedder(), Ridge())
        >>> model.fit(["CCO", "CCCO", "CCCCO"], [-0.3, 0.3, 0.9]).predict(["CCCCCO"]).shape
        (1,)
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        on_invalid: str = "nan",
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        self.model = model
        self.on_invalid = on_invalid
        self.device = device
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> MoleculeEmbedder:
        """Load the model and note its weights; the molecules are looked at only for their shape.

        Raises:
            InputError: ``X`` is not one column, or a parameter is impossible.
            UnknownNameError: no model of that name.
        """
        _column(X)
        self.__dict__.pop("_loaded", None)
        self.__dict__.pop("digest_", None)
        embedder = self._embedder()
        self.digest_, self.n_features_out_ = embedder.digest, embedder.dim
        return self

    def transform(self, X: Any) -> Float32[np.ndarray, "n dim"]:
        """Embeddings.

        Args:
            X: SMILES or RDKit molecules: a list, a Series, an array or a data frame of one column.

        Raises:
            InputError: ``X`` is not one column.
            RefusedRowsError: a row cannot be embedded and ``on_invalid`` is ``raise``.
            CheckpointError: the model of that name is not the one that was there when this was fitted.
        """
        result = featurize(as_smiles(_column(X)), self._embedder())
        if self.on_invalid == "raise" and not result.valid.all():
            bad = np.flatnonzero(~result.valid)
            raise RefusedRowsError(
                f"{len(bad)} of {len(result)} rows cannot be embedded; row {bad[0]}: {result.reason[bad[0]]}.",
                "Mend or drop them, or use on_invalid='nan'.",
            )
        return result.X

    def get_feature_names_out(self, input_features: Any = None) -> Shaped[np.ndarray, " dim"]:
        """``e0``, ``e1``, …, as in the files that ``molmv featurize`` writes."""
        return np.array([f"e{i}" for i in range(self._embedder().dim)], dtype=object)

    def _embedder(self) -> Embedder:
        """The model, loaded once an object; again if its parameters were set anew."""
        if self.on_invalid not in ON_INVALID:
            raise InputError(f"on_invalid={self.on_invalid!r} is not possible.", f"Use {' or '.join(ON_INVALID)}.")
        if not isinstance(self.model, str | Path):
            kind = type(self.model).__name__
            raise InputError(f"model is a {kind}.", "Give the name of a model or the path of its folder.")
        key = (str(self.model), self.device, self.batch_size)
        if getattr(self, "_loaded", (None,))[0] != key:
            self._loaded = (key, load_embedder(*key))
        embedder: Embedder = self._loaded[1]
        if embedder.digest != getattr(self, "digest_", embedder.digest):
            raise CheckpointError(
                f"The weights of {self.model!r} are not those that this MoleculeEmbedder was fitted with.",
                "Bring back the old ones, or fit again what was built on it.",
            )
        return embedder

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = tags.input_tags.one_d_array = tags.input_tags.allow_nan = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags


def _column(X: Any) -> list[Any]:
    """The one column of a list, Series, array or data frame.

    Raises:
        InputError: a text, numbers, or several columns.
    """
    if isinstance(X, str | bytes | dict) or not hasattr(X, "__len__"):
        raise InputError(f"Expected molecules, found a {type(X).__name__}.", "Give a list of SMILES.")
    values = X if isinstance(X, list | tuple) else np.asarray(X, dtype=object)
    if isinstance(values, np.ndarray):
        if values.ndim == 0 or values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
            raise InputError(f"Expected one column of molecules, found shape {values.shape}.", "Choose one column.")
        values = list(values.reshape(-1))
    elif values and isinstance(values[0], list | tuple | np.ndarray):
        return _column(np.asarray(values, dtype=object))
    return list(values)

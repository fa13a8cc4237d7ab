"""Classic vectors of texts, without a download: hashed n-grams of characters, and TF-IDF with SVD (LSA).

Hashed n-grams are computed. TF-IDF and its singular vectors (Deerwester et al., 1990) are fitted, when the teacher is
loaded, to the texts of a file that the card names by its hash: the same file gives the same vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from molmv import modality
from molmv.cards import TeacherCard, Weights
from molmv.errors import CardError, InputError, MissingExtraError
from molmv.table import open_table
from molmv.weights import locate


class HashedNgrams:
    """Counts of n-grams of characters within words, hashed into ``dim`` signed places, logarithmic, of length 1.

    Options of the card: ``shortest`` and ``longest`` n-gram (3 and 5), ``places`` (1024).
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        text = _feature_extraction()
        options = _options(card, {"shortest": 3, "longest": 5, "places": 1024})
        self.dim = options["places"]
        self._counts = text.HashingVectorizer(
            analyzer="char_wb",
            ngram_range=(options["shortest"], options["longest"]),
            n_features=self.dim,
            norm=None,
            dtype=np.float32,
        )

    def embed_batch(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, dim)``, float32."""
        X = self._counts.transform(texts).toarray()
        return _unit(np.sign(X) * np.log1p(np.abs(X)))


class TfidfSvd:
    """Words and pairs of words weighted by TF-IDF, in the first ``components`` right singular directions of a corpus.

    Options of the card: ``corpus`` (a file seen from the card's folder) and ``corpus_sha256``; ``column`` of it, where
    it is not found by its name; ``components`` (256), ``min_count`` (2: documents that a term is in, at least).

    Raises:
        CardError: no corpus, or it has no hash.
        WeightsError: the corpus is missing, or is another file.
        InputError: it has too few texts for so many components.
        MissingExtraError: scikit-learn is not installed.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        text = _feature_extraction()
        from sklearn.decomposition import TruncatedSVD

        known = {"corpus": "", "corpus_sha256": "", "column": None, "components": 256, "min_count": 2}
        options = _options(card, known)
        if not options["corpus"] or not options["corpus_sha256"]:
            raise CardError(f"Teacher {card.name!r}: option corpus needs a file, corpus_sha256 its SHA-256.")
        path = locate(replace(card, weights=Weights(file=options["corpus"], sha256=options["corpus_sha256"])))
        reads = modality.of("text")
        texts: list[str] = []
        for chunk in open_table(path, options["column"], modality=reads).chunks(8192):
            rows = reads.screen(chunk.values, chunk.problems)
            texts += [rows.inputs[i] for i in rows.good]
        self.dim = options["components"]
        self._weigh = text.TfidfVectorizer(
            ngram_range=(1, 2), min_df=options["min_count"], sublinear_tf=True, dtype=np.float32
        )
        self._reduce = TruncatedSVD(self.dim, algorithm="randomized", n_iter=4, random_state=0)
        try:
            self._reduce.fit(self._weigh.fit_transform(texts))
        except ValueError as error:
            why = " ".join(str(error).split())
            raise InputError(f"Teacher {card.name!r}: {path} cannot be fitted: {why}", "Give it more texts.") from error

    def embed_batch(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors ``(n, dim)``, float32, of length 1; 0 for a text without a word of the corpus."""
        return _unit(self._reduce.transform(self._weigh.transform(texts)).astype(np.float32))


def _unit(X: np.ndarray) -> np.ndarray:
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.float32(1e-12))


def _options(card: TeacherCard, known: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := card.options.keys() - known.keys():
        raise CardError(
            f"Teacher {card.name!r}: no option {', '.join(sorted(unknown))}.", f"Known: {', '.join(known)}."
        )
    options = {**known, **card.options}
    for key, value in options.items():
        if isinstance(known[key], int) and (type(value) is not int or value < 1):
            raise CardError(f"Teacher {card.name!r}: option {key}: expected a whole number above 0; found {value!r}.")
    return options


def _feature_extraction() -> Any:
    try:
        import sklearn  # noqa: F401
        from sklearn.feature_extraction import text
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "text") from error
    return text

"""Molecules in the plane by their embeddings: where each lies, what lies near it, and how the picture is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from molmv.depiction import draw
from molmv.properties import properties
from molmv.reporting import charts
from molmv.reporting.blocks import Gallery, Map

NEAREST = 5
GALLERY_ROWS = 6


@dataclass(frozen=True)
class Molecules:
    """Molecules that have a vector.

    Attributes:
        names: an id, or the number of the row.
        colours: further numbers of each molecule by what people call them; NaN where unknown.
    """

    smiles: Sequence[str]
    names: Sequence[str]
    X: Float[np.ndarray, "n dim"]
    colours: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)


def standardised(X: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """Each column with mean 0 and spread 1, without those that are constant."""
    X = np.asarray(X, np.float64)
    spread = X.std(0)
    kept = spread > 1e-6 * max(float(spread.max(initial=0)), 1e-12)
    return (X[:, kept] - X[:, kept].mean(0)) / spread[kept]


def layouts(X: Float[np.ndarray, "n dim"], tsne: bool, seed: int) -> dict[str, Float[np.ndarray, "n 2"]]:
    """Places in the plane: two principal components, and t-SNE (van der Maaten and Hinton, JMLR 9, 2008) of fifty.

    Args:
        X: standardised.
        tsne: whether that too; left out for fewer than ten molecules.
        seed: of t-SNE.
    """
    X = X - X.mean(0)
    left, size, _ = np.linalg.svd(X, full_matrices=False)
    components = np.zeros((len(X), 2))
    components[:, : len(size)] = (left * size)[:, :2]
    found = {"pca": components}
    if tsne and len(X) >= 10:
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(X) - 1) / 3)
        found = {
            "tsne": TSNE(2, perplexity=perplexity, random_state=seed).fit_transform((left * size)[:, :50]),
            **found,
        }
    return found


def nearest(X: Float[np.ndarray, "n dim"], k: int) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """For each molecule the k others of highest cosine, and the cosines."""
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, : min(k, len(X) - 1)]
    return order, np.take_along_axis(cosine, order, axis=1)


def chemical_space(found: Molecules, tsne: bool, seed: int) -> tuple[Map, Gallery]:
    """The map of some molecules, and the nearest ones of a few.

    Args:
        found: at least two molecules.
        tsne: whether to offer that layout.
        seed: of t-SNE and of the choice of the gallery.
    """
    X = standardised(found.X)
    places = layouts(X, tsne, seed)
    near, cosine = nearest(X, NEAREST)
    colours = {**found.colours, **properties(found.smiles)}
    colours = {name: values for name, values in colours.items() if np.isfinite(values).any()}
    keys = {f"c{i}": name for i, name in enumerate(colours)}
    numbers = [[_short(values[i]) for values in colours.values()] for i in range(len(X))]
    points = [
        {
            "i": i,
            **{
                f"{name}_{axis}": round(float(at[i, j]), 3)
                for name, at in places.items()
                for j, axis in enumerate("xy")
            },
            **dict(zip(keys, numbers[i], strict=True)),
        }
        for i in range(len(X))
    ]
    molecules = [
        {"name": name, "smiles": text, "values": values, "near": near[i].tolist()}
        for i, (name, text, values) in enumerate(zip(found.names, found.smiles, numbers, strict=True))
    ]
    pictures = draw(found.smiles)
    words = {"tsne": "t-SNE", "pca": "principal components"}
    drawn = Map(
        charts.space(points, list(places), dict(zip(keys, colours.values(), strict=True))),
        {name: words[name] for name in places},
        keys,
        molecules,
        pictures,
    )
    return drawn, _gallery(found, pictures, near, cosine, seed)


def _gallery(
    found: Molecules, pictures: Sequence[str], near: Int[np.ndarray, "n k"], cosine: Float[np.ndarray, "n k"], seed: int
) -> Gallery:
    chosen = np.random.default_rng(seed).permutation(len(near))[:GALLERY_ROWS]
    rows = [
        [(pictures[i], found.names[i], "query")]
        + [(pictures[j], found.names[j], f"cosine {c:.2f}") for j, c in zip(near[i], cosine[i], strict=True)]
        for i in chosen
    ]
    return Gallery("Nearest neighbours of some molecules", rows)


def _short(value: float) -> Any:
    return float(f"{value:.4g}") if np.isfinite(value) else None

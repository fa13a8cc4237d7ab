"""What teachers are asked when they are checked: 16 molecules, 16 texts, or 12 images, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from molmv.cards import card_folder


def reference_inputs(modality: str) -> Mapping[str, Any]:
    """Name -> input; empty for a modality of another package."""
    kinds: Mapping[str, Callable[[], Mapping[str, Any]]] = {"molecule": molecules, "text": texts, "image": images}
    return kinds[modality]() if modality in kinds else {}


def molecules() -> dict[str, str]:
    """Name -> SMILES: small to large, charged, chiral, with rings, isotopes, several fragments, unusual elements."""
    return {name: smiles for smiles, name in map(str.split, _lines("molecules.smi"))}


def texts() -> dict[str, str]:
    """Name -> text: one word to some hundreds, in several scripts, with digits, code, emoji and repeated words."""
    found = {name: text for name, _, text in (line.partition("\t") for line in _lines("texts.tsv"))}
    return {**found, "long": " ".join([*found.values()] * 4)}


def images() -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """Name -> pixels: flat, edges, stripes, gradients, something like noise; up to 300 × 400, from integers."""
    y, x = np.mgrid[:96, :96]
    tall, wide = np.mgrid[:300, :400]
    disc = ((x - 40) ** 2 + (y - 52) ** 2 < 900) * 255
    patterns = {
        "black": (x * 0,) * 3,
        "white": (x * 0 + 255,) * 3,
        "red": (x * 0 + 220, x * 0 + 20, x * 0 + 30),
        "gradient": (2 * x, 2 * y, 255 - 2 * x),
        "grey-gradient": (x + y,) * 3,
        "stripes": ((x // 6 % 2) * 255,) * 3,
        "chessboard": (((x // 12 + y // 12) % 2) * 200 + 30, (y // 12 % 2) * 160, x * 0 + 90),
        "disc": (disc, disc // 3, 255 - disc),
        "noise": tuple((x * x * a + y * y * b + x * y * 7) % 251 for a, b in ((13, 29), (31, 17), (11, 37))),
        "large": (tall * wide // 500 % 256, wide % 256, tall // 2 % 256),
        "narrow": tuple(part[:, :7] for part in (2 * y, 3 * x, 255 - y)),
        "one-pixel": tuple(np.full((1, 1), level) for level in (10, 120, 240)),
    }
    return {name: np.stack(parts, axis=-1).astype(np.uint8) for name, parts in patterns.items()}


def _lines(name: str) -> list[str]:
    return (card_folder() / "reference" / name).read_text(encoding="utf-8").splitlines()

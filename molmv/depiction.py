"""Structures drawn by RDKit, as small SVG pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from molmv.molecules import quiet

SIZE = (180, 140)


def draw(smiles: Sequence[str], size: tuple[int, int] = SIZE) -> list[str]:
    """A standalone SVG picture of each molecule, ``""`` where a SMILES does not parse or cannot be drawn.

    Nothing of the text of a SMILES is in its picture: RDKit draws atoms and bonds as paths.

    Args:
        smiles: of one molecule each.
        size: width and height of a picture in pixels.
    """
    with quiet():
        return [_draw_one(text, size) for text in smiles]


def _draw_one(smiles: str, size: tuple[int, int]) -> str:
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = Chem.MolFromSmiles(smiles) if smiles else None
    if mol is None:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(*size, -1, -1, False)
    drawer.drawOptions().bondLineWidth = 1
    drawer.drawOptions().clearBackground = False
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    except (RuntimeError, ValueError):  # a few metal complexes have no 2D layout
        return ""
    drawer.FinishDrawing()
    return _compact(drawer.GetDrawingText())


def _compact(svg: str) -> str:
    """Without RDKit's header, comments and names of atoms and bonds, and with one decimal: a third of the bytes."""
    svg = re.sub(r"<\?xml.*?\?>|<!--.*?-->|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"""\s(class|xml:space|version|baseProfile|xmlns:\w+)=(['"]).*?\2""", "", svg)
    svg = re.sub(r"(\d+\.\d)\d+", r"\1", svg)
    return re.sub(r"\s+", " ", svg).replace("> <", "><").strip()

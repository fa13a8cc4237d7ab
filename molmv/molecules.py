"""SMILES in, molecules out, and for each row that is refused a status and a reason.

Nothing is dropped and nothing shifts: every function here returns one entry a row, in order.
This file and :mod:`molmv.graphs` are where molmv touches RDKit for parsing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from molmv.modality import Modality
from molmv.rows import EMPTY, ERROR, INVALID, OK, TOO_LARGE, Rows

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_ATOMS = 1000
# Far above what 1,000 atoms need, so that a megabyte in one cell never reaches the parser.
MAX_CHARACTERS = 20 * MAX_ATOMS
_AROMATICITY = ("KekulizeException", "AtomKekulizeException")


def screen(smiles: Sequence[Any], problems: dict[int, str] | None = None) -> Rows:
    """Refuse what needs no parser to be refused: missing, blank, trailing text, reactions, InChI, huge.

    RDKit itself would read ``"CCO name"`` as ethanol and ``""`` as a molecule without atoms, so a
    wrongly delimited file would go unnoticed.

    Args:
        smiles: one entry a row; anything that is not a string counts as missing.
        problems: rows that the file reader already found broken, with the reason.
    """
    rows = Rows(list(smiles), [OK] * len(smiles), [""] * len(smiles))
    for i, text in enumerate(rows.inputs):
        refused = _screen_one(text)
        if refused:
            rows.refuse(i, *refused)
        else:
            rows.inputs[i] = text.strip()
    for i, reason in (problems or {}).items():
        rows.refuse(i, INVALID, reason)
    return rows


def as_smiles(values: Sequence[Any]) -> list[Any]:
    """RDKit molecules as canonical SMILES; everything else as it is.

    Example:
        >>> from rdkit.Chem import MolFromSmiles
        >>> as_smiles([MolFromSmiles("OCC"), "OCC", None])
        ['CCO', 'OCC', None]
    """
    from rdkit import Chem

    return [Chem.MolToSmiles(value) if isinstance(value, Chem.Mol) else value for value in values]


def _screen_one(text: Any) -> tuple[str, str] | None:
    if not isinstance(text, str):
        return EMPTY, "missing value"
    fields = text.split(None, 1)
    if not fields:
        return EMPTY, "empty SMILES"
    if text[0].isspace() and fields[0] != text.strip() or len(fields) > 1 and fields[1].strip():
        return INVALID, f"trailing text after the SMILES: {_short(fields[1])}"
    if len(fields[0]) > MAX_CHARACTERS:
        return TOO_LARGE, f"{len(fields[0]):,} characters; over {MAX_ATOMS:,} atoms is refused"
    # RDKit strips these from the ends, so that "CCO–" would pass for ethanol; a lone surrogate it cannot even take.
    if not (fields[0].isascii() and fields[0].isprintable()):
        odd = next(c for c in fields[0] if not (c.isascii() and c.isprintable()))
        return INVALID, f"the character {odd!a} has no place in a SMILES"
    if fields[0].startswith("InChI="):
        return INVALID, "an InChI, not a SMILES"
    if ">" in text and ">" in fields[0].replace("->", ""):
        return INVALID, "a reaction, not a molecule"
    return None


def _short(text: str, limit: int = 40) -> str:
    text = text.strip()
    return repr(text if len(text) <= limit else text[:limit] + "…")


def diagnose(smiles: str) -> tuple[str, str] | None:
    """Why RDKit cannot use this SMILES as a molecule; None if it can.

    Returns:
        ``(status, reason)``; the reason starts with the kind of fault: ``cannot parse``, ``valence``, ….
    """
    from rdkit import Chem

    with quiet():
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
        if mol is None:
            return INVALID, f"cannot parse SMILES {_short(smiles)}"
        if mol.GetNumAtoms() == 0:
            return EMPTY, "no atoms"
        if mol.GetNumAtoms() > MAX_ATOMS:
            return TOO_LARGE, f"{mol.GetNumAtoms():,} atoms; over {MAX_ATOMS:,} is refused"
        problems = Chem.DetectChemistryProblems(mol)
        if problems:
            kind = {"AtomValenceException": "valence"} | dict.fromkeys(_AROMATICITY, "aromaticity")
            return INVALID, f"{kind.get(problems[0].GetType(), problems[0].GetType())}: {problems[0].Message()}"
        if Chem.MolFromSmiles(smiles) is None:
            return INVALID, f"cannot sanitise SMILES {_short(smiles)}"
    return None


def parse(rows: Rows) -> list[Mol | None]:
    """The RDKit molecule of every good row; rows that fail are refused in place.

    Args:
        rows: changed in place: rows that RDKit cannot use get a status and a reason.
    """
    from rdkit import Chem

    mols: list[Mol | None] = [None] * len(rows)
    with quiet():
        for i in rows.good:
            mol = Chem.MolFromSmiles(rows.inputs[i])
            if mol is not None and 0 < mol.GetNumAtoms() <= MAX_ATOMS:
                mols[i] = mol
            else:
                rows.refuse(i, *(diagnose(rows.inputs[i]) or (ERROR, "cannot read")))
    return mols


def canonicalise(rows: Rows) -> list[str]:
    """RDKit's canonical isomeric SMILES of every row, ``""`` where refused.

    Args:
        rows: changed in place, as by :func:`parse`.
    """
    return write(parse(rows))


def write(mols: Sequence[Mol | None]) -> list[str]:
    """Canonical isomeric SMILES of molecules; ``""`` for None."""
    from rdkit import Chem

    return ["" if mol is None else Chem.MolToSmiles(mol) for mol in mols]


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The Bemis-Murcko scaffold of every molecule without stereochemistry and atom maps, ``""`` where it has no ring.

    Args:
        smiles: of molecules that parse; ``""`` for one that does not.
    """
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    found = []
    with quiet():
        for text in smiles:
            mol = Chem.MolFromSmiles(text)
            if mol is None:
                found.append("")
                continue
            Chem.RemoveStereochemistry(mol)
            for atom in mol.GetAtoms():  # numbered atoms would make every scaffold unique
                atom.SetAtomMapNum(0)
            found.append(MurckoScaffold.MurckoScaffoldSmiles(mol=mol))
    return found


def skeletons(smiles: Sequence[str]) -> list[str]:
    """What near-duplicates share: the largest fragment, neutral and without stereochemistry, as canonical SMILES.

    Salts, stereoisomers and protonation states of one molecule have one skeleton; tautomers do not.

    Args:
        smiles: of molecules that parse; ``""`` (whose skeleton is ``""``) for one that does not.
    """
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    uncharger = rdMolStandardize.Uncharger()
    found = []
    with quiet():
        for text in smiles:
            mol = Chem.MolFromSmiles(max(text.split("."), key=len))
            if mol is None:
                found.append("")
                continue
            mol = uncharger.uncharge(mol)
            Chem.RemoveStereochemistry(mol)
            found.append(Chem.MolToSmiles(mol))
    return found


def without_stereo(smiles: Sequence[str]) -> list[str]:
    """Canonical SMILES of the same molecules without stereochemistry; ``""`` where one does not parse."""
    from rdkit import Chem

    with quiet():
        mols = [Chem.MolFromSmiles(text) if text else None for text in smiles]
    return ["" if mol is None else Chem.CanonSmiles(Chem.MolToSmiles(mol, isomericSmiles=False)) for mol in mols]


def weights(smiles: Sequence[str]) -> Float64[np.ndarray, " n"]:
    """Average molecular weights in Da; NaN where a SMILES does not parse."""
    from rdkit import Chem
    from rdkit.Chem.Descriptors import MolWt

    with quiet():
        mols = [Chem.MolFromSmiles(text) if text else None for text in smiles]
    return np.array([np.nan if mol is None else MolWt(mol) for mol in mols])


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back RDKit's log: its messages come back as reasons instead."""
    from rdkit import rdBase

    block = rdBase.BlockLogs()
    try:
        yield
    finally:
        del block


def _is_smiles(text: str) -> bool:
    return diagnose(text) is None


MOLECULE = Modality(
    "molecule",
    ("smiles", "canonical_smiles", "input"),
    screen,
    parse,
    write,
    what="SMILES",
    extensions=dict.fromkeys((".smi", ".smiles", ".ism"), "smi"),
    recognises=_is_smiles,
    packages=("rdkit",),
    quiet=quiet,
    skeletons=skeletons,
)

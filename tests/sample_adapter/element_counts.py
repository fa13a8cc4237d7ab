"""A family of teachers that count the atoms of some elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from molmv.cards import TeacherCard


class ElementCounts:
    """Atoms of each element in the card's option ``elements``, hydrogens of the SMILES left out."""

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        from rdkit import Chem

        self._read = Chem.MolFromSmiles
        self._elements = list(card.options["elements"])
        self.dim = len(self._elements)

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        """Counts ``(n, dim)``."""
        counts = [Counter(atom.GetSymbol() for atom in self._read(smiles).GetAtoms()) for smiles in inputs]
        return np.array([[count[element] for element in self._elements] for count in counts], dtype=np.float32)

"""RDKit's 2D descriptors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molmv.cards import TeacherCard


class RdkitDescriptors:
    """All descriptors of :mod:`rdkit.Chem.Descriptors`, in its order.

    They differ by many orders of magnitude (``Ipc`` reaches 1e30): standardise before use. Values that are undefined
    for a molecule (partial charges of some metals) become 0; those beyond float32 become its limit.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        from rdkit.Chem import Descriptors

        self.names = [name for name, _ in Descriptors.descList]
        self.dim = len(self.names)

    def embed_batch(self, smiles: Sequence[str]) -> np.ndarray:
        """Descriptors ``(n, dim)``, float32."""
        from rdkit import Chem
        from rdkit.Chem import Descriptors

        from molmv.molecules import quiet

        limit = float(np.finfo(np.float32).max)
        out = np.zeros((len(smiles), self.dim))
        with quiet():
            for i, text in enumerate(smiles):
                mol = Chem.MolFromSmiles(text)
                out[i] = list(Descriptors.CalcMolDescriptors(mol, missingVal=0.0, silent=True).values())
        return np.nan_to_num(out, nan=0.0, posinf=limit, neginf=-limit).clip(-limit, limit).astype(np.float32)

"""A few computed properties by which chemists colour and filter their libraries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from molmv.molecules import quiet

#: Name -> where RDKit has it.
PROPERTIES = {
    "molecular weight": ("rdkit.Chem.Descriptors", "MolWt"),
    "logP (Crippen)": ("rdkit.Chem.Crippen", "MolLogP"),
    "polar surface (TPSA)": ("rdkit.Chem.rdMolDescriptors", "CalcTPSA"),
    "rings": ("rdkit.Chem.rdMolDescriptors", "CalcNumRings"),
    "share of sp3 carbons": ("rdkit.Chem.rdMolDescriptors", "CalcFractionCSP3"),
    "hydrogen-bond donors": ("rdkit.Chem.rdMolDescriptors", "CalcNumHBD"),
    "drug-likeness (QED)": ("rdkit.Chem.QED", "qed"),
}


def properties(smiles: Sequence[str]) -> dict[str, Float64[np.ndarray, " n"]]:
    """Each of :data:`PROPERTIES` of every molecule; NaN where a SMILES does not parse or RDKit has no value.

    Example:
        >>> round(float(properties(["CCO"])["molecular weight"][0]), 2)
        46.07
    """
    from importlib import import_module

    from rdkit import Chem

    functions = {name: getattr(import_module(module), function) for name, (module, function) in PROPERTIES.items()}
    found = {name: np.full(len(smiles), np.nan) for name in PROPERTIES}
    with quiet():
        for i, text in enumerate(smiles):
            mol = Chem.MolFromSmiles(text) if text else None
            if mol is None:
                continue
            for name, function in functions.items():
                try:
                    found[name][i] = function(mol)
                except (RuntimeError, ValueError):
                    continue  # stays NaN
    return found

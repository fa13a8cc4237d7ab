"""Any fingerprint of scikit-fingerprints by its name, as bits, counts or numbers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from molmv.cards import TeacherCard
from molmv.errors import CardError, MissingExtraError, UnknownNameError, did_you_mean

#: Those whose definition knows no order of the atoms; MAP and all that embed a conformer get canonical SMILES.
ORDER_FREE = ("ECFP", "AtomPair", "TopologicalTorsion", "MACCS", "RDKit")


class Fingerprints:
    """A fingerprint class of scikit-fingerprints.

    Card options: ``fingerprint`` (``"ECFP"`` for ``ECFPFingerprint``), and any argument of that class
    (``fp_size``, ``radius``, ``count``, …). ``count`` works for those too that call it ``variant = "count"``.
    Undefined numbers (some Mordred descriptors of some molecules) become 0.

    Raises:
        MissingExtraError: scikit-fingerprints is not installed.
        UnknownNameError: it has no such fingerprint.
        CardError: the fingerprint does not take one of the options, or its value.
    """

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        kind = fingerprint_class(card)
        options = dict(card.options)
        name = str(options.pop("fingerprint", ""))
        parameters = inspect.signature(kind).parameters
        if options.get("count") is True and "count" not in parameters and "variant" in parameters:
            options["variant"] = "count"
            del options["count"]
        unknown = set(options) - set(parameters)
        if unknown:
            raise CardError(f"Teacher {card.name!r}: {name} takes no option {', '.join(sorted(unknown))}.")
        self._conformers: Any = None
        try:
            self._fingerprint: Any = kind(**options)
            if self._fingerprint.requires_conformers:
                from skfp.preprocessing import ConformerGenerator

                self._conformers = ConformerGenerator(errors="raise")
            self.takes_parsed = name in ORDER_FREE
            self.dim = self.embed_batch(["CCO"]).shape[1]
        except (TypeError, ValueError) as error:
            raise CardError(f"Teacher {card.name!r}: {name} refuses its options: {error}") from error

    def embed_batch(self, inputs: Sequence[Any]) -> np.ndarray:
        """Fingerprints ``(n, dim)``, float32, of SMILES or RDKit molecules; 3D ones embed a conformer first."""
        from rdkit import Chem

        from molmv.molecules import quiet

        with quiet():
            mols: Any = [Chem.MolFromSmiles(i) if isinstance(i, str) else i for i in inputs]
            if self._conformers is not None:
                mols = self._conformers.transform(mols)
            values = np.asarray(self._fingerprint.transform(mols), dtype=np.float32)
        limit = float(np.finfo(np.float32).max)
        return np.nan_to_num(values, nan=0.0, posinf=limit, neginf=-limit)


def fingerprint_class(card: TeacherCard) -> Any:
    """The class of scikit-fingerprints that a card's option ``fingerprint`` names.

    Raises:
        MissingExtraError: scikit-fingerprints is not installed.
        UnknownNameError: it has no such fingerprint; suggests the nearest.
    """
    try:
        from skfp import fingerprints as skfp
    except ImportError as error:
        raise MissingExtraError("scikit-fingerprints", "fingerprints") from error
    name = str(card.options.get("fingerprint", ""))
    known = [n.removesuffix("Fingerprint") for n in dir(skfp) if n.endswith("Fingerprint")]
    if name not in known:
        hint = did_you_mean(name, known, f"Known: {', '.join(known)}.")
        raise UnknownNameError(f"scikit-fingerprints has no fingerprint {name!r}.", hint)
    return getattr(skfp, f"{name}Fingerprint")

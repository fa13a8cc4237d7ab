"""Molecules to try a model on where no file is at hand: 5,000 different ones, the same on every machine."""

from __future__ import annotations

from itertools import combinations_with_replacement, islice, product

# Two places for groups each: aromatic, saturated, bridged, charged, with stereo bonds and with rings of 3 to 8 atoms.
_CORES = (
    "c1cc({})ccc1{}", "c1cc({})cnc1{}", "c1nc({})sc1{}", "c1cc({})c2[nH]ccc2c1{}", "O=c1cc({})oc2ccc({})cc12",
    "C1CC({})CCC1{}", "C1CN({})CCN1{}", "C1CC1({}){}", "O=C1C({})CN1{}", "C1CCC({})CCC1{}", "C1CCCC({})CCC1{}",
    "C1C2CC({})CC1CC(C2){}", "C[N+]({})(C){}", "F/C({})=C(/F){}", "O=S(=O)(N{})c1ccc(cc1){}", "P(=O)(OC)({}){}",
    "N[C@@H](C{})C(=O)N{}", "c1cc({})c2c(c1)oc1ccc({})cc12", "[Si](C)(C)({}){}", "O=C(N{})OC{}",
    "n1c({})nc2n(C)cnc2c1{}", "C1OC({})C(O)C(O)C1{}",
)  # fmt: skip
_GROUPS = (
    "C", "C(C)C", "CC(=O)[O-]", "C[NH3+]", "CC#N", "C(F)(F)F", "C(=O)OC", "CCl", "CBr", "CI", "CO", "CSC", "C=C", "C#C",
    "c9ccccc9", "C[C@H](O)C", "CC(=O)N(C)C", "Cc9ccncc9", "C[N+](=O)[O-]", "CS(=O)(=O)C", "CCCCCCCC", "C9CCOC9",
)  # fmt: skip


def trial_molecules() -> list[str]:
    """SMILES of 5,000 molecules: cores with two groups each."""
    pairs = combinations_with_replacement(_GROUPS, 2)
    return list(islice((core.format(*pair) for pair, core in product(pairs, _CORES)), 5000))

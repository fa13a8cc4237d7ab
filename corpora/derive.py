"""Molecules that a corpus lacks, made from its own: salts, charges, tautomers, fragments, elements, large rings.

    python corpora/derive.py build/corpus.smi -n 50000 --exclude ../shared/data -o build/derived.smi

Every line is a canonical SMILES and the kind of derivation. None is in the source, and none is, by any of the three
comparisons of ``identities.py``, a molecule of the evaluation sets below ``--exclude``. The same source, number and
seed give the same file. ``coverage.py`` shows what it fills.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from identities import evaluation_molecules, identities
from rdkit import Chem, RDLogger
from rdkit.Chem import BRICS, AllChem
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.MolStandardize import rdMolStandardize
from writing import write_corpus

Derivation = Callable[[Chem.Mol, random.Random], Iterator[Chem.Mol | str]]

AMINE = Chem.MolFromSmarts("[NX3;+0;!$(N-[C,S,P]=[O,S,N]);!$(N-[a]);!$(N-C=C);!$(N#*);!$(N-[N,O])]")
ACID = Chem.MolFromSmarts("[OX2H1;$(O-C=O),$(O-S(=O)=O),$(O-P=O)]")
CARBOXYL = Chem.MolFromSmarts("[CX3](=O)[OX2H1]")
WEAK_ACID = Chem.MolFromSmarts("[$([NX3H1](S(=O)=O)C=O),$([nH]1nnnc1),$([nH]1nncn1),$([OX2H1]-c),$([SX2H1])]")
# Most are as in drugs' salts; some bring metals that organic collections lack.
ANIONS = "Cl Cl Cl Cl Br I [Cl-] OS(=O)(=O)O CS(=O)(=O)O O=C(O)C(F)(F)F O=C(O)C=CC(=O)O O=C(O)C(O)C(O)C(=O)O".split()
CATIONS = "[Na+] [Na+] [Na+] [Na+] [K+] [K+] [Li+] [Ca+2] [Mg+2] [Zn+2] [NH4+] [Ag+] [Cu+2] [Fe+2]".split()
REPLACEMENTS = [
    AllChem.ReactionFromSmarts(text)
    for text in (
        "[c:1][F,Cl,Br]>>[c:1]B(O)O",
        "[c:1][F,Cl,Br]>>[c:1][Si](C)(C)C",
        "[c:1][F,Cl,Br]>>[c:1]I",
        "[c:1][F,Cl,Br]>>[c:1][As](=O)(O)O",
        "[c:1][F,Cl,Br]>>[c:1][Sn](C)(C)C",
        "[c:1][F,Cl,Br]>>[c:1][Hg]Cl",
        "[c:1][F,Cl,Br]>>[c:1]P(=O)(O)O",
        "[#6:1][S;D2;+0][#6:2]>>[#6:1][Se][#6:2]",
        "[#6:1][C;X4;H0]([#6:2])([#6:3])[#6:4]>>[#6:1][Si]([#6:2])([#6:3])[#6:4]",
    )
]
SMALLEST_RING = 12


def salts(mol: Chem.Mol, draw: random.Random) -> Iterator[str]:
    """With a counter-ion: as acid and base side by side, or as ions."""
    base, acid = mol.GetSubstructMatches(AMINE), mol.GetSubstructMatches(ACID)
    if acid and (not base or draw.random() < 0.5):
        ion = draw.choice(CATIONS)
        anion = Chem.MolToSmiles(_charged(mol, draw.choice(acid)[0], -1))
        yield ".".join([ion] + [anion] * (2 if "+2" in ion else 1))
    elif base:
        ion = draw.choice(ANIONS)
        cation = _charged(mol, draw.choice(base)[0], 1) if "-" in ion else mol
        yield f"{ion}.{Chem.MolToSmiles(cation)}"


def states(mol: Chem.Mol, draw: random.Random) -> Iterator[Chem.Mol]:
    """As an ion alone: an amine with a proton or a methyl group more, an acid with a proton less, or both."""
    base = mol.GetSubstructMatches(AMINE)
    acid = mol.GetSubstructMatches(ACID) or mol.GetSubstructMatches(WEAK_ACID)
    if base and (not acid or draw.random() < 0.6):
        place = draw.choice(base)[0]
        if mol.GetAtomWithIdx(place).GetTotalNumHs() == 0 and draw.random() < 0.3:
            yield _methylated(mol, place)
            return
        mol = _charged(mol, place, 1)
        if not acid or draw.random() < 0.5:
            yield mol
            return
    if acid:
        yield _charged(mol, draw.choice(acid)[0], -1)


def tautomers(mol: Chem.Mol, draw: random.Random) -> Iterator[Chem.Mol]:
    """Another tautomer."""
    if mol.GetNumHeavyAtoms() > 40:  # minutes for some
        return
    options = rdMolStandardize.CleanupParameters()
    options.maxTautomers, options.maxTransforms = 20, 50
    yield draw.choice(list(rdMolStandardize.TautomerEnumerator(options).Enumerate(mol)))


def fragments(mol: Chem.Mol, draw: random.Random) -> Iterator[Chem.Mol]:
    """A piece of less than 150 Da, cut at BRICS bonds and capped with hydrogen."""
    small = [piece for piece in map(_capped, _pieces(mol, draw)) if piece is not None and MolWt(piece) < 150]
    if small:
        yield draw.choice(small)


def elements(mol: Chem.Mol, draw: random.Random) -> Iterator[Chem.Mol]:
    """With an element that is rare: B, Si, P, As, Se, Sn, I, Hg in place of a halogen, a sulphur or a carbon."""
    found = [products for reaction in REPLACEMENTS if (products := reaction.RunReactants((mol,), 20))]
    if found:
        yield draw.choice(draw.choice(found))[0]


def macrocycles(mol: Chem.Mol, draw: random.Random) -> Iterator[Chem.Mol]:
    """Closed to a large ring between an amine with a hydrogen and a carboxylic acid."""
    amines = [a for (a,) in mol.GetSubstructMatches(AMINE) if mol.GetAtomWithIdx(a).GetTotalNumHs()]
    acids = mol.GetSubstructMatches(CARBOXYL)
    if not amines or not acids:
        return
    distance = Chem.GetDistanceMatrix(mol)
    ends = [(a, c, o) for a in amines for c, _, o in acids if distance[a, c] + 1 >= SMALLEST_RING]
    if ends:
        amine, carbon, oxygen = draw.choice(ends)
        closed = Chem.RWMol(mol)
        closed.AddBond(amine, carbon, Chem.BondType.SINGLE)
        closed.RemoveAtom(oxygen)
        yield closed.GetMol()


def recombined(mols: list[Chem.Mol], draw: random.Random) -> Iterator[Chem.Mol]:
    """New molecules from pieces of others, joined as BRICS allows."""
    while True:
        pool = [piece for mol in draw.sample(mols, min(4, len(mols))) for piece in _pieces(mol, draw)]
        draw.shuffle(pool)
        yield from islice(BRICS.BRICSBuild(pool, scrambleReagents=False, maxDepth=2), 3)


KINDS: dict[str, tuple[float, Derivation | None]] = {
    "salts": (0.25, salts),
    "states": (0.2, states),
    "fragments": (0.15, fragments),
    "recombined": (0.15, None),
    "tautomers": (0.1, tautomers),
    "elements": (0.1, elements),
    "macrocycles": (0.05, macrocycles),
}


def _charged(mol: Chem.Mol, place: int, charge: int) -> Chem.Mol:
    """A proton more (charge 1) or less (-1) at an atom."""
    changed = Chem.RWMol(mol)
    atom = changed.GetAtomWithIdx(place)
    hydrogens = atom.GetTotalNumHs() + charge
    atom.SetFormalCharge(atom.GetFormalCharge() + charge)
    atom.SetNoImplicit(True)
    atom.SetNumExplicitHs(hydrogens)
    return changed.GetMol()


def _methylated(mol: Chem.Mol, place: int) -> Chem.Mol:
    changed = Chem.RWMol(mol)
    changed.AddBond(place, changed.AddAtom(Chem.Atom(6)), Chem.BondType.SINGLE)
    changed.GetAtomWithIdx(place).SetFormalCharge(1)
    return changed.GetMol()


def _pieces(mol: Chem.Mol, draw: random.Random) -> tuple[Chem.Mol, ...]:
    """Half of the BRICS bonds cut. BRICSDecompose makes every combination of cuts, of a peptide millions."""
    bonds = list(BRICS.FindBRICSBonds(mol))
    cut = draw.sample(bonds, (len(bonds) + 1) // 2)
    return Chem.GetMolFrags(BRICS.BreakBRICSBonds(mol, cut), asMols=True) if cut else (mol,)


def _capped(piece: Chem.Mol) -> Chem.Mol | None:
    """A BRICS piece with hydrogen at its open ends."""
    changed = Chem.RWMol(piece)
    for atom in changed.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomicNum(1)
            atom.SetIsotope(0)
    try:
        whole = changed.GetMol()
        Chem.SanitizeMol(whole)
        return Chem.RemoveHs(whole)
    except Chem.MolSanitizeException:
        return None


def _canonical(found: Chem.Mol | str) -> str | None:
    """Canonical SMILES of a molecule of 3 to 110 heavy atoms that survives being read again; else None."""
    mol = Chem.MolFromSmiles(found if isinstance(found, str) else Chem.MolToSmiles(found))
    if mol is None or not 3 <= mol.GetNumHeavyAtoms() <= 110:
        return None
    return Chem.MolToSmiles(mol)


def _candidates(kind: str, lines: list[str], draw: random.Random) -> Iterator[Chem.Mol | str]:
    function = KINDS[kind][1]
    order = draw.sample(lines, len(lines))
    if function is None:
        yield from recombined([mol for text in order[:5000] if (mol := Chem.MolFromSmiles(text))], draw)
    else:
        for text in order:
            mol = Chem.MolFromSmiles(text)
            if mol is not None and "." not in text:
                yield from function(mol, draw)


def derive(lines: list[str], n: int, excluded: set[str], seed: int) -> Iterator[tuple[str, str]]:
    """Canonical SMILES and kind of new molecules; of a kind that runs dry there are fewer.

    Args:
        lines: the source, canonical SMILES.
        n: molecules in all.
        excluded: identities that none may have.
        seed: of all choices.
    """
    seen = set(lines)
    for kind, (share, _) in KINDS.items():
        draw = random.Random(f"{seed} {kind}")
        wanted, tries = round(n * share), 0
        for found in _candidates(kind, lines, draw):
            tries += 1
            if wanted == 0 or tries > 100 * n:
                break
            text = _canonical(found)
            if text is None or text in seen or identities(text) & excluded:
                continue
            seen.add(text)
            wanted -= 1
            yield text, kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="canonical SMILES, one a line")
    parser.add_argument("-n", type=int, required=True, help="molecules to make")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--exclude", type=Path, required=True, help="folder with tdc/ and admet_group/")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    excluded: set[str] = set()
    for smiles in {smiles for _, smiles in evaluation_molecules(arguments.exclude)}:
        excluded |= identities(smiles)
    if not excluded:
        parser.error(f"{arguments.exclude} holds no evaluation set: nothing would be kept out")
    lines = [line.split()[0] for line in arguments.source.read_text().splitlines() if line.strip()]
    made = list(derive(lines, arguments.n, excluded, arguments.seed))
    random.Random(arguments.seed).shuffle(made)
    counts = ", ".join(f"{sum(k == kind for _, k in made):,} {kind}" for kind in KINDS)
    write_corpus([f"{text} {kind}" for text, kind in made], arguments.output, f" ({counts})")


if __name__ == "__main__":
    main()

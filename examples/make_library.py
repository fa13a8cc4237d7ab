"""Writes examples/library.csv: 3,000 compounds of the NCI open set, with bad rows among them.

The compounds come with RDKit (``Data/NCI/first_5K.smi``); examples/README.md says under which terms.
Run it again only to change the file: ``python examples/make_library.py``.
"""

import csv
import random
from pathlib import Path

from rdkit import Chem, RDConfig, RDLogger
from rdkit.Chem.Descriptors import MolWt

KEPT = 3000
ALWAYS = {5065}  # nicotine, the query of examples/demo.py

# What people's files hold where a SMILES should be. Some compounds of the set itself cannot be read either.
BAD = [
    ("", "empty"),
    ("   ", "spaces only"),
    ("CCO ethanol", "a name after the SMILES"),
    ("CCO\tethanol", "a name after a tab"),
    ("CCO |$_R1;;$|", "an extension after the SMILES"),
    ("aspirin", "a name"),
    ("64-17-5", "a registry number"),
    ("N/A", "a word for missing"),
    ("None", "a word for missing"),
    ("InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3", "an InChI"),
    ("InChIKey=LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "an InChIKey"),
    ("CCO>>CC=O", "a reaction"),
    ("CCO.CC(=O)O>[H+]>CCOC(C)=O", "a reaction with an agent"),
    ("CC(C)(C)(C)C", "a carbon with five bonds"),
    ("c1ccccc1N(=O)=O(C)", "an oxygen with three bonds"),
    ("c1cccc1", "a ring that is not aromatic"),
    ("C1CCCC", "a ring left open"),
    ("CC(C", "a bracket left open"),
    ("CC(=O)Qc1ccccc1", "an element that does not exist"),
    ("C" * 1001, "over 1,000 atoms"),
]


def weight(smiles: str) -> str:
    """Returns the molecular weight in g/mol, or nothing for what RDKit cannot read."""
    molecule = Chem.MolFromSmiles(smiles)
    return f"{MolWt(molecule):.2f}" if molecule else ""


def main() -> None:
    """Writes library.csv beside this file."""
    RDLogger.DisableLog("rdApp.*")
    random.seed(0)
    source = Path(RDConfig.RDDataDir, "NCI", "first_5K.smi")
    compounds = [line.rstrip("\n").split("\t") for line in source.read_text().splitlines()]
    unread = {number for smiles, number in compounds if Chem.MolFromSmiles(smiles) is None}
    always = unread | {str(number) for number in ALWAYS}
    others = [number for _, number in compounds if number not in always]
    kept = always | set(random.sample(others, KEPT - len(always)))
    rows = [[f"NSC-{number}", smiles, weight(smiles), ""] for smiles, number in compounds if number in kept]
    for number, (smiles, note) in enumerate(BAD, start=1):
        rows.insert(random.randrange(len(rows)), [f"BAD-{number:02}", smiles, "", note])
    with (Path(__file__).parent / "library.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "smiles", "mol_weight", "note"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()

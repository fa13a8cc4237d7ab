"""A static student that begins where a teacher's table is: its words, its vectors, equal weights.

    python configs/start_text.py minilm-l6-v2-words -o build/text/start

``train.start`` of ``configs/text-static.toml`` names the folder, its ``student.tokenizer`` the vocabulary in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from molmv.models import load_teacher
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.tokens import FILE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher", help="one whose adapter is static_embedding")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    teacher = load_teacher(arguments.teacher)
    table = torch.from_numpy(teacher.adapter.table)
    network = StudentKind("static_text", {"vocabulary": len(table), "embedding": table.shape[1]}).make()
    weights = {"vectors.weight": table, "weights.weight": torch.zeros(len(table), 1)}
    network.load_state_dict(weights, strict=True)
    provenance = {"teachers": {teacher.name: teacher.provenance}}
    files = {FILE: teacher.adapter.vocabulary}
    checkpoint = Checkpoint(
        arguments.output.name, "static_text", vars(network.config), provenance, weights, files=files
    )
    save_checkpoint(checkpoint, arguments.output)
    print(f"{arguments.output}: {len(table):,} tokens of {table.shape[1]} numbers")


if __name__ == "__main__":
    main()

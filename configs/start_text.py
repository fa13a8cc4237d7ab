"""A text student that begins where a teacher's table is: its words, its vectors, equal weights.

    python configs/start_text.py minilm-l6-v2-words -o build/text/start
    python configs/start_text.py minilm-l6-v2-words --layers 2 -o build/text/start-small

``train.start`` of ``configs/text-static.toml`` (``text-small.toml``) names the folder, its ``student.tokenizer`` the
vocabulary in it. With layers it is a transformer whose layers add nothing yet: the mean of the words' directions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from molmv.models import load_teacher
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.tokens import FILE

HEADS, MAX_TOKENS = 6, 128


def static_start(table: torch.Tensor) -> torch.nn.Module:
    """The words' vectors, with equal weights."""
    network = StudentKind("static_text", {"vocabulary": len(table), "embedding": table.shape[1]}).make()
    network.load_state_dict({"vectors.weight": table, "weights.weight": torch.zeros(len(table), 1)}, strict=True)
    return network


def transformer_start(table: torch.Tensor, layers: int) -> torch.nn.Module:
    """The same words below layers whose last matrices are zero, and a readout that changes nothing."""
    width = table.shape[1]
    sizes = {"vocabulary": len(table), "layers": layers, "width": width, "heads": HEADS, "embedding": width}
    network = StudentKind("text", {**sizes, "max_tokens": MAX_TOKENS}).make()
    with torch.no_grad():
        # Numbers of about 1, as the layers expect them.
        network.tokens.weight.copy_(torch.nn.functional.normalize(table) * width**0.5)
        network.positions.weight.zero_()
        for layer in network.layers:
            for last in (layer.answer, layer.mlp[-1]):
                last.weight.zero_()
                last.bias.zero_()
        network.readout.weight.copy_(torch.eye(width) / width**0.5)
        network.readout.bias.zero_()
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher", help="one whose adapter is static_embedding")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=0, help="of a transformer; 0 = a static student")
    arguments = parser.parse_args()
    teacher = load_teacher(arguments.teacher)
    table = torch.from_numpy(teacher.adapter.table)
    kind = "text" if arguments.layers else "static_text"
    network = transformer_start(table, arguments.layers) if arguments.layers else static_start(table)
    provenance = {"teachers": {teacher.name: teacher.provenance}}
    files = {FILE: teacher.adapter.vocabulary}
    name, sizes = arguments.output.name, vars(network.config)
    save_checkpoint(Checkpoint(name, kind, sizes, provenance, network.state_dict(), files=files), arguments.output)
    print(f"{arguments.output}: {len(table):,} tokens of {table.shape[1]} numbers, {arguments.layers} layers")


if __name__ == "__main__":
    main()

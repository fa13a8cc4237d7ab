"""Put distilled students into ``students/``, with their model cards: the last step of ``make students``.

    python configs/release.py build/molmv-base/student build/molmv-small/student --cost "57 minutes, one thread each"

Every number on the card is read from the checkpoint or from the tables of the protocols; none is typed in.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from molmv.distill.heads_begin import MORE_ROWS
from molmv.models import load_student
from molmv.student.checkpoint import load_checkpoint, trainings

ROOT = Path(__file__).parent.parent
# Of each protocol's table: its columns -> model, score.
PROTOCOLS = {
    "paper": {"test_mean": "score"},
    "embedding-benchmark": {"embedder": "model", "test_auroc": "score"},
    "strict": {"mean": "score"},
}
AVERAGED = (
    f"Heads of an average were fitted to {MORE_ROWS:,} molecules afterwards: "
    "they tell less than heads trained along would. "
)
LATER = "One table a training, the first one first; what only the first one asked for may be told worse now. "
REFERENCE = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C[C@H](N)C(=O)[O-].[Na+]"]


def protocol_table(results: Path, name: str) -> list[str]:
    """Markdown rows: means of a student and of the models beside it, from the tables of ``benchmarks/tables.py``."""
    lines = ["| protocol | metric | sets | mean | beside it |", "|---|---|---|---|---|"]
    for protocol, columns in PROTOCOLS.items():
        path = results / f"{protocol}.csv"
        if not path.exists():
            continue
        table = pd.read_csv(path).rename(columns=columns)
        table["metric"] = table.get("metric", "AUROC")
        for kind in ("head", "split"):
            table["metric"] += ", " + table[kind] if kind in table else ""
        for metric, rows in table.groupby("metric", sort=False):
            means = rows.groupby("model", sort=False)["score"].agg(["mean", "size"])
            means = means[means["size"] == means["size"].max()]  # of others only some sets are finished
            if name in means.index:
                others = "; ".join(f"{other} {mean:.3f}" for other, mean in means["mean"].items() if other != name)
                mean, size = means.loc[name]
                lines.append(f"| {protocol} | {metric} | {size:.0f} | **{mean:.3f}** | {others} |")
    return lines


def teacher_table(teachers: Mapping[str, Mapping[str, Any]], held_out: Mapping[str, float]) -> list[str]:
    """Markdown rows: each teacher, what it may have seen, and how well the student tells it."""
    lines = [
        "| teacher | licence | labels it may have seen | held-out nats per dimension | R² |",
        "|---|---|---|---|---|",
    ]
    for name, card in teachers.items():
        seen = ", ".join(card.get("labels_seen", ())) or "none"
        nll, r2 = held_out[f"nll/{name}"], held_out[f"r2/{name}"]
        lines.append(f"| {name} | {card['licence']} | {seen} | {nll:.3f} | {r2:.3f} |")
    return lines


def card(checkpoint: Any, parameters: int, protocols: list[str], cost: str) -> str:
    """The model card in Markdown, with the front matter of a Hugging Face repository."""
    about = checkpoint.provenance
    runs = trainings(about)[::-1]
    seen = sorted({label for run in runs for t in run["teachers"].values() for label in t.get("labels_seen", ())})
    settings = "\n```\n\n```json\n".join(json.dumps(run["config"], indent=1, sort_keys=True) for run in runs)
    return f"""---
license: mit
library_name: molmv
tags: [chemistry, molecules, embeddings, distillation]
---
# {checkpoint.name}

A graph network ({parameters / 1e6:.1f} M parameters, {checkpoint.config["embedding"]} dimensions)
distilled {", then ".join(map(training, runs))}.
Takes SMILES; needs no network, no conformer and no GPU.

```python
import molmv
molmv.featurize(["CCO", "c1ccccc1O"], model="{checkpoint.name}").X
```

## Protocols

Means over sets, all rows of a table in one run; `python benchmarks/tables.py`. Every set, intervals, tests and
leaks are in `benchmarks/results/`, what was asked and not reached in `benchmarks/RESULTS.md`.

{chr(10).join(protocols)}

The evaluation sets are not in the corpus (removed by canonical SMILES, connectivity of the largest fragment, and a charge-
and tautomer-free hash); close analogues remain. The student has seen no label, but it inherits what its teachers learnt:
MiniMol very probably saw the assays behind {", ".join(seen)}. The tables give every mean without these sets too.

## Teachers

{(chr(10) * 2).join(chr(10).join(teacher_table(run["teachers"], run["held_out"])) for run in runs)}

{LATER if len(runs) > 1 else ""}{AVERAGED if about["config"]["train"].get("keep") else ""}Nats are of the standardised teacher seen through noise (σ₀ = {about["config"]["loss"]["noise"]}); R² is the share
of the standardised teacher's variance that the mean of its head explains. Both are measured on rows never trained on,
{about["config"]["data"]["held_out"]:.0%} of the corpus.

## Data

{chr(10).join(map(corpus, runs))}

`corpora/README.md` has the recipe, the sources and their licences.
No molecule of it ships.

## Use and limits

For similarity search, clustering, and property models on small and medium data. Not a property predictor by itself.
Molecules far from drug-like chemistry (metals, large peptides, mixtures) are thin in the corpus. Enantiomers differ
only through the CIP labels of their atoms; conformation is not seen. Potency within a series, where fingerprints are
strong: level with counts of ECFP in the one series that was looked at.

## Cost

{cost}

## Settings

```json
{settings}
```
"""


def training(about: Mapping[str, Any]) -> str:
    """By whom, as which file says, for how long, and what ``turn.py`` did afterwards."""
    train = about["config"]["train"]
    file = Path(about["config"]["output"] if train.get("start") else about["config"]["name"]).name
    notes = [
        f"{about['steps']:,} steps of {train['batch_size']:,} molecules{' on a GPU' if train.get('minutes') else ''}"
    ]
    if keep := train.get("keep"):
        notes += [f"{keep:.0%} of the weights before it kept"]
    if "turned" in about:
        width, kept = about["turned"]["from"], about["turned"]["variance_kept"]
        notes += [f"{width:,} numbers, turned onto the main ones by `configs/turn.py`, with {kept:.1%} of the variance"]
    if "turned_to" in about:
        notes += [f"to the space of {', '.join(about['turned_to'])}: distances are those of what is said of them"]
    return f"from {len(about['teachers'])} teachers as `configs/{file}.toml` says ({'; '.join(notes)})"


def corpus(about: Mapping[str, Any]) -> str:
    """Of which molecules."""
    found = about["corpus"]
    return f"- {found['rows']:,} training molecules of a wide public corpus; SHA-256 of the file `{found['sha256']}`"


def release(folder: Path, results: Path, cost: str) -> None:
    """Copy one student and write its card."""
    checkpoint = load_checkpoint(folder)
    target = ROOT / "students" / checkpoint.name
    target.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        if (folder / name).resolve() != (target / name).resolve():
            shutil.copyfile(folder / name, target / name)
    student = load_student(target, device="cpu")
    vectors = student.embed(student.screen(REFERENCE))
    reference = {"smiles": REFERENCE, "embedding_first8": [[round(float(v), 5) for v in row[:8]] for row in vectors]}
    (target / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
    parameters = sum(p.numel() for p in student.encoder.parameters())
    tables = protocol_table(results, checkpoint.name)
    (target / "README.md").write_text(card(checkpoint, parameters, tables, cost), encoding="utf-8")
    print(f"{target}: {parameters:,} parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("students", type=Path, nargs="+", help="folders that `molmv distill` wrote")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="tables.py's")
    parser.add_argument("--cost", default="Not recorded.")
    arguments = parser.parse_args()
    for student in arguments.students:
        release(student, arguments.results, arguments.cost)


if __name__ == "__main__":
    main()

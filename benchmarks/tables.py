"""The tables of all students, teachers and baselines under each protocol, beside published rows where there are any.

    python benchmarks/tables.py                              # everything, in the order below
    python benchmarks/tables.py molmv-small -p paper         # this model under this protocol
    python benchmarks/tables.py --finished                   # computes nothing: tables of what is finished

Writes ``embedding-benchmark``, ``paper``, ``tdc-admet`` and ``strict``, each as ``.csv``, ``.md`` and ``-leaks.csv``,
to ``benchmarks/results/``. Finished scores are kept in ``scores/`` there, and in the repository as
``PROTOCOL-scores.csv``: the same command goes on where it stopped, here or elsewhere.
The models of a protocol come one after the other, so that whoever is cut off has whole rows. A table holds every model
below of which something is finished. A model that cannot be loaded is left out with a warning.

Published tables are looked for in the folder ``--published`` (``embedding_benchmark_2508.06199.csv``,
``published_per_task.csv``, ``tdc_admet_leaderboard.csv``). The costs stand in ``RESULTS.md``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from kept_scores import pack, unpack

from molmv.errors import MolmvError
from molmv.evaluate.contenders import contender
from molmv.evaluate.evaluation import evaluate
from molmv.evaluate.protocols import PROTOCOLS
from molmv.models import student_names

ROOT = Path(__file__).parent.parent
# Side by side: the ceiling that a student of these teachers compresses.
TOGETHER = "minimol+ecfp-count+ecfp+rdkit-descriptors"
FIRST = ("minimol", *student_names(), "ecfp-count", "ecfp", "rdkit-descriptors", TOGETHER)
LATER = (
    "pretrain-gnn-gcn-contextpred",
    "rxnfp-bert-pretrained",
    "maccs",
    "atom-pair-count",
    "topological-torsion-count",
    "pretrain-gnn-graphsage-contextpred",
    "pretrain-gnn-gat-contextpred",
)
QUICK, FOREST = ("linear", "knn"), ("forest",)
# Protocol, heads (none: all) and models, most wanted first. Forests cost more than all the rest.
STEPS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("embedding-benchmark", QUICK, FIRST),
    ("paper", (), FIRST),
    ("tdc-admet", (), FIRST),
    ("strict", (), FIRST),
    ("embedding-benchmark", QUICK, LATER),
    ("paper", (), LATER),
    ("embedding-benchmark", FOREST, FIRST),
    ("tdc-admet", (), LATER),
    ("strict", (), LATER),
)
PUBLISHED = {
    "embedding-benchmark": "embedding_benchmark_2508.06199.csv",
    "paper": "published_per_task.csv",
    "tdc-admet": "tdc_admet_leaderboard.csv",
}


def loadable(names: Sequence[str]) -> list[str]:
    """The models that can be had."""
    found = []
    for name in dict.fromkeys(names):
        try:
            contender(name)
            found.append(name)
        except MolmvError as error:
            warnings.warn(f"{name} is left out: {error}", stacklevel=2)
    return found


def run(
    protocol: str, heads: Sequence[str], models: Sequence[str], beside: Sequence[str], args: argparse.Namespace
) -> None:
    """Compute what is missing of ``models``, and write the tables with ``beside``."""
    published = args.published / PUBLISHED.get(protocol, "none")

    def show(what: str, done: int, total: int) -> None:
        print(
            f"{time.strftime('%H:%M:%S')} {time.process_time():6.0f} s of CPU  {protocol} {done}/{total} {what}",
            flush=True,
        )

    options = {
        "output": args.output,
        "jobs": args.jobs,
        "baselines": False,
        "concatenation": False,
        "published": published if published.is_file() else None,
        "corpus": args.corpus,
        "plots": False,
    }
    try:
        evaluate(models, protocol, args.task, heads=heads, beside=beside, progress=show, **options)
    except MolmvError as error:
        print(f"{protocol}: {error}", flush=True)
    pack(args.output)


def main() -> None:
    """Every step, or what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="only these; names, checkpoint folders, or A+B")
    parser.add_argument("-p", "--protocol", action="append", choices=list(PROTOCOLS), help="only these")
    parser.add_argument("-t", "--task", action="append", default=[], help="only these")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--finished", action="store_true", help="compute nothing")
    parser.add_argument("--forest", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="what a student was distilled on")
    parser.add_argument("--published", type=Path, default=ROOT.parent / "shared" / "reference")
    args = parser.parse_args()
    unpack(args.output)
    known = loadable((*args.models, *FIRST, *LATER))
    steps = [s for s in STEPS if not args.protocol or s[0] in args.protocol]
    steps += [(name, (), FIRST) for name in args.protocol or () if name not in {s[0] for s in STEPS}]
    for protocol, heads, models in [] if args.finished else steps:
        if heads == FOREST and not args.forest:
            continue
        if args.models and models == LATER:
            continue
        chosen = [name for name in known if name in (args.models or models)]
        run(protocol, heads, chosen, known, args)
    for protocol in dict.fromkeys(protocol for protocol, _, _ in steps) if args.finished else ():
        run(protocol, (), (), known, args)


if __name__ == "__main__":
    main()

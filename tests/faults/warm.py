"""A process that has imported what its jobs need and forks itself for each: a hundred kills cost no hundred starts.

Started with the modules to import. Reads lines of JSON ``[job, arguments]`` on standard input; answers the child's
process id, and later its exit code. Jobs are the functions below; each goes on where a killed one stopped.
"""

import importlib
import json
import os
import sys
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

CHUNK = 12  # rows


def featurize(card: str, table: str, out: str, watched: bool) -> None:
    from molmv.featurizing import featurize_file
    from molmv.limits import Limits

    limits = Limits() if watched else None
    featurize_file(table, out, card, chunk_size=CHUNK, id_column="id", resume=True, limits=limits)


def teachers_embed(card: str, table: str, out: str, watched: bool) -> None:
    from molmv import embed_corpus
    from molmv.limits import Limits
    from molmv.table import open_table

    embed_corpus.CHUNK, embed_corpus.PIECE = CHUNK, CHUNK // 2
    embed_corpus.embed_corpus(card, open_table(table), Path(out), limits=Limits() if watched else None)


def distillation(corpus: str, stores: str, out: str) -> None:
    from tiny_distillation import DROPOUT, World

    from molmv.distill import distill

    world = World(Path(corpus), Path(stores), None, {}, {})  # type: ignore[arg-type]
    config = world.config(Path(out), train={"checkpoint_every": 2}, **DROPOUT)
    distill(replace(config, data=replace(config.data, rows=0)), resume=True)


def evaluation(assay: str, out: str, home: str) -> None:
    import molmv
    from molmv.evaluate.protocols import strict

    os.environ["MOLMV_HOME"], strict.REPEATS = home, 2
    options = {"heads": ["linear", "knn"], "plots": False, "output": out}
    molmv.evaluate(["maccs"], "strict", f"{assay}:size", **options)


JOBS = {job.__name__: job for job in (featurize, teachers_embed, distillation, evaluation)}


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    """Until standard input ends."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        child = os.fork()
        if not child:
            code = 1
            try:
                sys.stdin.close()
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed is no answer
                warnings.simplefilter("ignore")
                JOBS[name](**arguments)
                code = 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        say(child)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()

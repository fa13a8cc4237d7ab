"""Embedding on a Ray cluster: the folder of blocks that :mod:`molmv.featurizing_blocks` writes, by many machines.

Ray Data reads the input files, one task a file, and hands each block to an actor that holds the model. The actor
watches its model in a process of its own, as the local engine does, and writes the block; the driver notes it in the
journal. Actors that die are replaced, and their blocks are done again: under the same names, with the same bytes.
All machines must see the input and the output under the same paths.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmv import formats
from molmv.blocks import Block, write_block
from molmv.documents import parse_json
from molmv.embed_chunks import Facts, load
from molmv.errors import InputError, MissingExtraError, ProcessError
from molmv.featurizing import Summary
from molmv.featurizing_blocks import (
    Options,
    Plan,
    Progress,
    finish,
    make_plan,
    open_journal,
    read_blocks,
    summary,
)
from molmv.hashing import sha256
from molmv.journal import Entry, Shard
from molmv.limits import Limits
from molmv.supervising import Worker

if TYPE_CHECKING:
    import psutil
    import pyarrow as pa

OBJECT_STORE = 128 * 2**20  # bytes; blocks of text are small
ATTEMPTS = 5  # to start a cluster


def featurize_on_ray(
    inputs: str | Path,
    out: str | Path,
    model: str,
    options: Options | None = None,
    address: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """As :func:`molmv.featurizing_blocks.featurize_blocks`, on Ray.

    Args:
        inputs: a file, a glob, or a folder of tables.
        out: the folder.
        model: name of a model.
        options: ``workers`` are actors; each takes one core, and one GPU if the device is cuda.
        address: of a running cluster; None: one on this machine that lives as long as the run. Nothing in the
            environment is asked.
        progress: called with the rows done and None.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError, OutputError: as there.
        ProcessError: Ray does not start.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    out, options = Path(out).absolute(), options or Options()
    plan = make_plan(inputs, model, options, Shard())
    if plan.reads.in_file:
        raise InputError(f"Ray is given texts, not {plan.reads.noun}s.", "Share the work by --shard.")
    plan = replace(plan, sources=tuple(source.absolute() for source in plan.sources))
    wanted = (model, options.device, options.batch_size, options.uncertainty)
    facts = _facts(wanted)
    start = time.perf_counter()
    with open_journal(out, plan, facts) as journal, cluster(address, options.workers):
        before = done = sum(block.rows for block in journal.blocks.values())
        if progress:
            progress(done, None)
        for source in plan.sources:
            journal.begin_source(source.name, sha256(source))
        for note in _run(plan, facts, out, wanted, frozenset(journal.blocks)):
            if "length" in note:
                journal.end_source(note["source"], note["length"])
                continue
            entry = Entry(**note)
            journal.add(entry)
            done += entry.rows
            if progress:
                progress(done, None)
        finish(out, plan, journal)
        return summary(journal, before, time.perf_counter() - start, out, plan.reads.name)


def _facts(wanted: tuple[Any, ...]) -> Facts:
    """What the model says of itself, without loading it into this process."""
    worker = Worker(load, wanted, Limits())
    worker.start()
    try:
        worker.wait()
        facts: Facts = worker.said
        return facts
    finally:
        worker.close()


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[None]:
    """Ray, joined or started while the body runs; one that this process has joined already is used as it is.

    Args:
        address: of a running cluster; None: one on this machine, whatever ``RAY_ADDRESS`` says.
        workers: actors that it must have room for.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell the vendor
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is not None:
            ray.init(address, **quiet)
        else:
            cores = max(workers + 1, 2)  # one for the tasks that read
            start = partial(ray.init, "local", num_cpus=cores, include_dashboard=False, **quiet)
            _patiently(partial(start, object_store_memory=OBJECT_STORE))
        yield
    finally:
        ray.shutdown()


def _patiently(start: Callable[[], Any]) -> None:
    """Ray gives its own start 30 seconds, which are too few on a busy machine."""
    import psutil
    import ray

    before = set(psutil.Process().children())
    for attempt in range(ATTEMPTS):
        try:
            start()
            return
        except Exception as error:  # Ray's own is a plain Exception
            ray.shutdown()
            _end(set(psutil.Process().children()) - before)
            if "timed out" not in str(error):
                raise
            if attempt == ATTEMPTS - 1:
                raise ProcessError(
                    f"Ray did not start in {ATTEMPTS} attempts of 30 seconds.",
                    "Is the machine too busy? A cluster that runs already can be named with --address.",
                ) from error


def _end(processes: Iterable[psutil.Process]) -> None:
    """End those that are Ray's: a start that it gives up would leave them until this process ends."""
    import psutil
    import ray

    home = str(Path(ray.__file__).parent)
    for process in processes:
        with suppress(psutil.Error):  # it has just ended
            if home in " ".join(process.cmdline()):
                for one in [*process.children(recursive=True), process]:
                    one.kill()
                process.wait(10)


def _run(
    plan: Plan, facts: Facts, out: Path, wanted: tuple[Any, ...], finished: frozenset[str]
) -> Iterator[dict[str, Any]]:
    """Notes of blocks that are written, and of input files that were read to their end, as they come."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it warns that it shows nothing
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # byte: every block of ours is one of Ray's, and goes to whoever is free
    sources = [{"source": str(source)} for source in plan.sources]
    files = ray.data.from_items(sources, override_num_blocks=len(sources))
    arrow = {"batch_size": None, "batch_format": "pyarrow"}  # NumPy would make every text four times as long
    blocks = files.map_batches(_Reader(plan, finished), num_cpus=0.5, **arrow)
    notes = blocks.map_batches(
        _Actor,
        fn_constructor_args=(plan, facts, out, wanted),
        **arrow,
        compute=ray.data.ActorPoolStrategy(size=plan.options.workers),
        num_cpus=1,
        num_gpus=1 if plan.options.device.startswith("cuda") else 0,
    )
    for row in notes.iter_rows():
        yield parse_json(row["json"])


class _Reader:
    """From an input file to its blocks, as JSON: an escape keeps what no text column of Arrow would."""

    def __init__(self, plan: Plan, finished: frozenset[str]) -> None:
        self.plan, self.finished = plan, finished

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for source in batch["source"].to_pylist():
            rows = 0
            for block in read_blocks(self.plan, Path(source), 0):
                rows += len(block)
                if block.file not in self.finished:
                    yield _packed(vars(block))
            yield _packed({"source": Path(source).name, "length": rows})


def _packed(*found: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"json": [json.dumps(one) for one in found]})


def _forget_main() -> None:
    """Python runs the main program again in each process that it spawns; Ray's is only good for importing Ray."""
    vars(sys.modules["__main__"]).pop("__file__", None)


class _Actor:
    """Holds a watched process with the model; embeds blocks and writes them."""

    def __init__(self, plan: Plan, facts: Facts, out: Path, wanted: tuple[Any, ...]) -> None:
        self.schema, self.out = plan.schema(facts), out
        _forget_main()
        workers = max(plan.options.workers, 2)  # one thread, and its share of the memory
        self.worker = Worker(load, wanted, plan.options.limits or Limits(), workers)

    def __call__(self, batch: pa.Table) -> pa.Table:
        # The text is that of our reader, and may be of any size.
        return _packed(*(self._one(parse_json(text, sys.maxsize)) for text in batch["json"].to_pylist()))

    def _one(self, found: dict[str, Any]) -> dict[str, Any]:
        if "length" in found:
            return found
        found["problems"] = {int(i): why for i, why in found["problems"].items()}
        block = Block(**found)
        rows, X, *unsure = self.worker.embed(block)
        table = formats.to_table(
            self.schema, block.start, block.values, block.ids, rows, X, unsure[0] if unsure else None
        )
        return asdict(write_block(self.out, block, table))

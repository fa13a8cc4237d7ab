"""The one mouth of the command line: results go to stdout, everything else to stderr.

Text is printed as it is, never as markup: ``[Na+]`` and ``:C:`` are chemistry here, not styles.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from molmv.errors import MolmvError


def show(text: str) -> None:
    """Print a result on stdout."""
    print(text)


def show_json(value: Any) -> None:
    """Print a result on stdout as JSON, for other programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout: aligned for people, tab-separated when piped into another program."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in cells))
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells))


def note(text: str) -> None:
    """Tell the user something on stderr, on one line."""
    typer.echo(" ".join(text.splitlines()).strip(), err=True)


def error(problem: MolmvError) -> None:
    """Tell the user what went wrong and what to do about it, on one line of stderr."""
    note(f"{typer.style('error:', fg='red', bold=True)} {problem.message} {problem.hint}")


@contextmanager
def progress(label: str, quiet: bool = False) -> Iterator[Callable[[int, float | None], None]]:
    """A progress bar on stderr while the body runs; nothing when quiet or when stderr is not a terminal.

    Args:
        label: what is being done.
        quiet: show no bar.

    Yields:
        A function to call with the rows done and the fraction of the work done (None: unknown), once before the
        first row.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda rows, fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rows=0, rate=0.0)
        began: tuple[float, int] | None = None

        def update(rows: int, fraction: float | None) -> None:
            nonlocal began
            now = time.monotonic()
            began = began or (now, rows)  # the rate leaves out the loading of a model and what was done before
            rate = (rows - began[1]) / max(now - began[0], 1e-9)
            total = None if fraction is None else 1.0
            bar.update(task, completed=fraction or 0.0, total=total, rows=rows, rate=rate)

        yield update

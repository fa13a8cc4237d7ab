"""The one mouth of the command line: results go to stdout, everything else to stderr.

Text is printed as it is, never as markup: ``[Na+]`` and ``:C:`` are chemistry here, not styles.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import typer

from molmv.errors import MolmvError

#: How a command is told the column of inputs: one option, whatever they are.
COLUMN = ("-s", "--column", "--smiles-column", "--text-column", "--image-column")
# A name or a SMILES of a stranger's file may hold codes that move the cursor, or rename the window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    r"""A text whose control characters are shown instead of obeyed.

    Example:
        >>> plain("[Na+]\x1b[2J")
        '[Na+]\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def show(text: str) -> None:
    """Print a result on stdout."""
    print(plain(text) if sys.stdout.isatty() else text)


def show_json(value: Any) -> None:
    """Print a result on stdout as JSON, for other programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout: aligned for people, tab-separated when piped into another program."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in cells))
        return
    cells = [[plain(cell) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells))


def note(text: str) -> None:
    """Tell the user something on stderr, on one line."""
    typer.echo(_line(text), err=True)


def error(problem: MolmvError) -> None:
    """Tell the user what went wrong and what to do about it, on one line of stderr."""
    typer.echo(f"{typer.style('error:', fg='red', bold=True)} {_line(f'{problem.message} {problem.hint}')}", err=True)


def _line(text: str) -> str:
    return plain(" ".join(text.splitlines()).strip())


@contextmanager
def progress(label: str, quiet: bool = False, unit: str = "rows") -> Iterator[Callable[[int, float | None], None]]:
    """A progress bar on stderr while the body runs; nothing when quiet or when stderr is not a terminal.

    Args:
        label: what is being done.
        quiet: show no bar.
        unit: what is counted.

    Yields:
        A function to call with the rows done and the fraction of the work done (None: unknown), once before the
        first row.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda rows, fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[rows]:,} {task.fields[unit]}, {task.fields[rate]:,.3g}/s", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rows=0, unit=unit, rate=0.0, eta="")
        began: tuple[float, int, float] | None = None

        def update(rows: int, fraction: float | None) -> None:
            nonlocal began
            now = time.monotonic()
            began = began or (now, rows, fraction or 0.0)  # leaves out the loading of a model and what was done before
            seconds = max(now - began[0], 1e-9)
            total = None if fraction is None else 1.0
            rate, eta = (rows - began[1]) / seconds, remaining(seconds, fraction, began[2])
            bar.update(task, completed=fraction or 0.0, total=total, rows=rows, rate=rate, eta=eta)

        yield update


def remaining(seconds: float, fraction: float | None, before: float = 0.0) -> str:
    """The time left in words; empty while it is not known.

    From all that was done in this run: rich's own estimate looks at the last half minute only, in which a slow model
    may not have reported once.

    Args:
        seconds: since the start of this run.
        fraction: of the whole work that is done now.
        before: of the whole work that was done before this run.

    Example:
        >>> remaining(60.0, 0.5, 0.25)
        '0:02:00 left'
    """
    if fraction is None or fraction <= before:
        return ""
    left = seconds * (1 - fraction) / (fraction - before)
    return f"{timedelta(seconds=round(left))} left"

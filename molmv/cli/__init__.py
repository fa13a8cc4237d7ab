"""``molmv``, the command. One file a verb; each imports what is heavy inside its function, so that help is quick."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import molmv
from molmv.atomic import REFUSALS
from molmv.cli import terminal
from molmv.errors import InputError, MolmvError, OutputError

__all__ = ["app", "main"]

# verb -> "module:attribute"; a Typer becomes a group of commands, a function one command.
_VERBS = {
    "featurize": "molmv.cli.featurize:featurize",
    "teachers": "molmv.cli.teachers:app",
    "distill": "molmv.cli.distill:distill",
    "evaluate": "molmv.cli.evaluate:evaluate",
    "information": "molmv.cli.information:information",
    "fit": "molmv.cli.fit:fit",
    "predict": "molmv.cli.predict:predict",
    "report": "molmv.cli.report:report",
    "index": "molmv.cli.neighbours:index",
    "neighbours": "molmv.cli.neighbours:neighbours",
    "export": "molmv.cli.export:export",
    "bench": "molmv.cli.bench:bench",
    "verify": "molmv.cli.verify:verify",
    "merge": "molmv.cli.verify:merge",
    "doctor": "molmv.cli.doctor:doctor",
}


class _Root(TyperGroup):
    """Turns every error that molmv raises on purpose into one line and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MolmvError as problem:
            terminal.error(problem)
            raise typer.Exit(problem.exit_code) from problem
        except OSError as problem:
            if problem.errno not in REFUSALS:
                raise
            what = f"{problem.filename or 'A file'}: {problem.strerror}."
            terminal.error(OutputError(what, "Check the disk and its rights."))
            raise typer.Exit(OutputError.exit_code) from problem
        except UnicodeEncodeError as problem:  # a name of bytes that are no text, or a locale that has no such letter
            what = ascii(problem.object[problem.start : problem.end])
            terminal.error(InputError(f"{what} cannot be named in {problem.encoding}.", "Rename the file."))
            raise typer.Exit(InputError.exit_code) from problem
        except KeyboardInterrupt as interrupt:
            terminal.note("interrupted")
            raise typer.Exit(130) from interrupt


app = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        terminal.show(f"molmv {molmv.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Embeddings of molecules, from many models or from one small student of them all."""


for _verb, _place in _VERBS.items():
    _module, _attribute = _place.split(":")
    if find_spec(_module) is None:
        continue
    _command = getattr(import_module(_module), _attribute)
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_verb)
    else:
        app.command(_verb)(_command)


def main() -> None:
    """Run the command line; what ``molmv`` on the shell calls."""
    _speak_utf8()
    app()


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale is of another encoding; escape what no terminal can show.

    What molmv writes is UTF-8, and so are the names of files for Arrow; in a locale like C many could not be named.
    """
    other = os.name == "posix" and sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1"
    if other and sys.executable:
        os.environ["PYTHONUTF8"] = "1"  # also for the processes that are started later
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")

"""Every error a user can meet, each with what to do about it.

A message says what was expected, what was found, and where; ``hint`` says what to do next.
The command line prints both on one line each, without a traceback, and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class MolmvError(Exception):
    """Base of all errors raised on purpose by molmv.

    Args:
        message: what was expected, what was found, and where (file, row, card line).
        hint: the next thing to do, as an imperative sentence. Empty if there is none.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:  # an error of a worker process arrives with its hint
        return _again, (type(self), self.message, self.hint)


class InputError(MolmvError, ValueError):
    """A file, table or column that cannot be read as asked."""


class OutputError(MolmvError, OSError):
    """An output that may not, or cannot, be written."""


class RefusedRowsError(MolmvError, ValueError):
    """Rows were refused and the caller asked for none (``--strict``)."""

    exit_code = 3


class CardError(MolmvError, ValueError):
    """A teacher card that is malformed; the message names the card and the key."""


class UnknownNameError(MolmvError, KeyError):
    """No teacher, student, fingerprint or option of that name."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return f"{self.message} {self.hint}".strip()


class WeightsError(MolmvError, RuntimeError):
    """Weights that are missing, or whose hash is not the one on the card."""


class StoreError(MolmvError, ValueError):
    """An embedding store that is damaged, incomplete, or does not match its corpus or teacher."""


class CheckpointError(MolmvError, ValueError):
    """A student checkpoint that is damaged or from an incompatible version."""


class ConfigError(MolmvError, ValueError):
    """A distillation config with an unknown key, a wrong type or an impossible value."""


class TeacherError(MolmvError, RuntimeError):
    """A teacher that broke its contract, e.g. returned fewer rows than it was given."""


class ProcessError(MolmvError, RuntimeError):
    """One of several processes that work together died; the message says which and how."""


class ShapeError(MolmvError, ValueError):
    """Tensors whose shapes do not fit together; the message shows both sides."""


class MissingExtraError(MolmvError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package {package!r}, which is not installed.",
            f'Install it with: pip install "molmv[{extra}]"',
        )


def _again(kind: type[MolmvError], message: str, hint: str) -> MolmvError:
    error = kind.__new__(kind)
    MolmvError.__init__(error, message, hint)
    return error


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The hint for a name that may be mistyped: the nearest that is known, in upper or lower case; else another hint.

    Example:
        >>> did_you_mean("MinMol", ["ecfp", "minimol"])
        "Did you mean 'minimol'?"
    """
    import difflib

    names = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"Did you mean {names[near[0]]!r}?" if near else otherwise

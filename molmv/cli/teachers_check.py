"""``molmv teachers check``: do the teachers still say what they said when their cards were made?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from molmv.cli import terminal

if TYPE_CHECKING:
    from molmv.checking import Check


def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Teachers; all if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Store what they say now as their references.")] = False,
) -> None:
    """Embed reference inputs with each teacher and compare with what it said when its card was made.

    The inputs are 16 molecules, 16 texts or 12 images. Each teacher runs in a process of its own, on one thread; one
    that fails does not stop the others. Shown are the inputs a second of processor time, and the peak memory of the
    process, libraries included.

    Exit code 1 if a teacher differs or fails. One whose packages or weights are not here counts only if it was named:
    then its weights are downloaded, and otherwise not.

    **Examples**

    `molmv teachers check` of all that are here

    `molmv teachers check minimol ecfp`
    """
    from dataclasses import asdict

    from molmv import cards
    from molmv.checking import ABSENT, DIFFERS, FAILED

    teachers = names or list(cards.card_names())
    width = max(len(cards.load_card(name).name) for name in teachers)  # a misspelt name should not wait
    found = []
    for name in teachers:
        result = _check(name, update, download=bool(names))
        found.append(result)
        if not as_json:
            terminal.show(_line(result, width))
    if as_json:
        terminal.show_json([asdict(result) for result in found])
    bad = {DIFFERS, FAILED, ABSENT} if names else {DIFFERS, FAILED}
    if any(result.status in bad for result in found):
        raise typer.Exit(1)


def _check(name: str, update: bool, download: bool) -> Check:
    from molmv.availability import availability
    from molmv.cards import load_card
    from molmv.checking import ABSENT, Check, check_apart

    card = load_card(name)
    here = availability(card)
    if not here.ready and not download:
        return Check(card.name, ABSENT, here.why, here.fix)
    return check_apart(name, update)


def _line(result: Check, width: int) -> str:
    speed = "" if result.per_second is None else f"{result.per_second:,.0f}/s"
    memory = "" if result.peak_mib is None else f"{result.peak_mib:,} MiB"
    said = ". ".join(part.rstrip(".") for part in (result.detail, result.fix) if part)
    return f"{result.name:{width}}  {result.status:12}  {speed:>8}  {memory:>9}  {said}".rstrip()

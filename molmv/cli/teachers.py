"""``molmv teachers``: what there is, what it is, and embedding a corpus with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molmv.cli import teachers_check, teachers_rank, terminal
from molmv.cli.limits import TIMEOUT, MemoryLimit, Timeout, limits

if TYPE_CHECKING:
    from molmv.availability import Availability
    from molmv.cards import TeacherCard
    from molmv.limits import Limits

app = typer.Typer(no_args_is_help=True, help="Teachers: list and check them, show their cards, embed a corpus.")
app.command("check")(teachers_check.check)
app.command("rank")(teachers_rank.rank)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False) -> None:
    """List all teachers: modality, width, licence, what they need and whether it is here, labels they saw.

    `weights` says where they lie: in the mirror, the cache or an installed package; `computed` teachers have none.
    Any fingerprint of scikit-fingerprints is a teacher too: `skfp:MHFP`, `skfp:Avalon-count`.

    **Example**

    `molmv teachers list --json`
    """
    from molmv import cards
    from molmv.availability import availability

    found = [cards.load_card(name) for name in cards.card_names()]
    here = [availability(card) for card in found]
    if as_json:
        terminal.show_json([{**_as_dict(c), "here": _state(h)} for c, h in zip(found, here, strict=True)])
        return
    header = ("name", "modality", "dim", "likelihood", "licence", "needs", "weights", "labels seen", "description")
    rows = [
        (
            card.name,
            card.modality,
            card.dim,
            card.likelihood,
            card.provenance.licence,
            _needs(card, state),
            state.weights,
            len(card.provenance.labels_seen) or "none",
            card.description,
        )
        for card, state in zip(found, here, strict=True)
    ]
    terminal.show_table(header, rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a teacher, path of a card, or skfp:NAME[-count].")],
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Show a teacher's card: source, licence, what it was trained on, which labels it has seen.

    **Examples**

    `molmv teachers show minimol`

    `molmv teachers show skfp:MHFP`
    """
    from molmv import cards
    from molmv.availability import availability

    found = cards.load_card(name)
    here = availability(found)
    if name.startswith("skfp:") and here.ready:
        from molmv.adapters.fingerprints import fingerprint_class

        fingerprint_class(found)  # a name without a card is right only if the library has it
    card = {**_as_dict(found), "here": _state(here)}
    if as_json:
        terminal.show_json(card)
        return
    flat = {k: v for k, v in card.items() if not isinstance(v, dict)}
    for section in ("weights", "options", "provenance", "here"):
        flat.update({f"{section}.{k}": v for k, v in card[section].items()})
    for key, value in flat.items():
        if value not in ("", None):
            text = (", ".join(map(str, value)) or "none") if isinstance(value, (list, tuple)) else str(value)
            terminal.show(f"{key:24}{text}")


@app.command()
def embed(
    names: Annotated[list[str], typer.Argument(metavar="NAME… FILE", help="Teachers, then the corpus.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the stores; one folder each inside.")],
    workers: Annotated[int, typer.Option("-w", "--workers", min=1, help="Processes.")] = 1,
    column: Annotated[
        str | None, typer.Option(*terminal.COLUMN, help="[default: smiles, text, … as they read]")
    ] = None,
    timeout: Timeout = TIMEOUT,
    memory_limit: MemoryLimit = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Embed a corpus with one or more teachers, into a store each.

    An interrupted run goes on where it stopped when the same command is given again. A teacher that fails does not
    stop the others; the exit code is then 1.

    **Example**

    `molmv teachers embed minimol ecfp rdkit-descriptors corpus.smi -o stores/ --workers 2`
    """
    from molmv import cards
    from molmv.errors import InputError, MolmvError
    from molmv.modality import of
    from molmv.table import open_table

    *teachers, file = names
    if not teachers:
        raise InputError(
            "Expected at least one teacher and a file.", "E.g. molmv teachers embed ecfp corpus.smi -o st/"
        )
    # A misspelt name or a file that cannot be read should not wait for the first teacher.
    found = {name: cards.load_card(name) for name in teachers}
    folders = {name: out / card.name.replace(":", "-") for name, card in found.items()}
    for read in {card.modality for card in found.values()}:
        open_table(file, column, modality=of(read))
    failed = False
    for name, folder in folders.items():
        try:
            _embed(name, file, folder, workers, limits(timeout, memory_limit), column, quiet)
        except MolmvError as problem:
            if len(folders) == 1:
                raise
            failed = True
            terminal.error(problem)
        else:
            terminal.note(f"{name}: {_summary(folder)}")
    if failed:
        raise typer.Exit(1)


def _embed(
    name: str, file: str, path: Path, workers: int, limits: Limits | None, column: str | None, quiet: bool
) -> None:
    from molmv.cards import load_card
    from molmv.embed_corpus import embed_corpus
    from molmv.modality import of
    from molmv.table import open_table

    table = open_table(file, column, modality=of(load_card(name).modality))
    with terminal.progress(f"embedding with {name}", quiet) as progress:
        embed_corpus(name, table, path, workers, progress, limits)


def _summary(folder: Path) -> str:
    """What a user should know of a finished store: rows, refused ones, columns that say nothing."""
    from molmv.embeddings import EmbeddingStore

    store = EmbeddingStore(folder, verify=False)
    refused, constant = len(store) - int(store.valid.sum()), len(store.constant)
    said = f"{len(store):,} rows in {folder}"
    said += f", {refused:,} refused" if refused else ""
    columns = f"{constant:,} of {store.header.dim:,} columns are constant in this corpus"
    return f"{said}; {columns}" if constant else said


def _needs(card: TeacherCard, here: Availability) -> str:
    return card.extra + ("" if here.packages == "installed" else f" ({here.packages})") if card.extra else "core"


def _state(here: Availability) -> dict[str, str]:
    return {"packages": here.packages, "weights": here.weights, "missing": here.why, "fix": here.fix}


def _as_dict(card: TeacherCard) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(card), "path": str(card.path or ""), "digest": card.digest}

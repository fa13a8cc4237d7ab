"""``molmv doctor``: what works here, and a line for each thing that does not."""

from __future__ import annotations

from typing import Annotated

import typer

from molmv.cli import terminal


def doctor(
    load: Annotated[bool, typer.Option("--load", help="Load each teacher that seems to be here; minutes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Show versions, device, caches, extras, students, and which teachers can be loaded here.

    Teachers are told from installed packages and names of files; `molmv teachers check` compares their vectors.

    **Example**

    `molmv doctor --load`
    """
    from molmv.doctor import examine

    found = examine(load)
    if as_json:
        terminal.show_json(found)
        return
    for name, value in found["system"].items():
        terminal.show(f"{name:12}{value}")
    terminal.show(f"{'students':12}{', '.join(found['students']) or 'none'}")
    for table in ("extras", "teachers"):
        terminal.show(f"\n{table}")
        width = max(map(len, found[table]), default=0)
        for name, row in found[table].items():
            versions = ", ".join(f"{p} {v}" for p, v in row["packages"].items()) if table == "extras" else ""
            detail = versions if row["state"] == "installed" else row["state"]
            terminal.show(f"  {name:{width}}  {detail}" + (f". {row['fix']}" if row["fix"] else ""))

"""The only place that writes HTML: every text is escaped here, every number of the page goes through JSON.

The page loads nothing: the code of Vega, its own style and script, data and pictures are in it, and its content
security policy forbids the rest. Pictures are shown as images, in which no script runs.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from urllib.parse import quote

from molmv import plots
from molmv.reporting.blocks import Block, Chart, Gallery, Map, Section, Table, Text


def render(title: str, sections: Sequence[Section], footer: str) -> str:
    """The whole page.

    Args:
        title: of the page.
        sections: its parts, in order.
        footer: one line about how it was made.

    Raises:
        MissingExtraError: what draws the charts is not installed.
    """
    here = files(__package__)
    body = "\n".join(_section(number, section) for number, section in enumerate(sections))
    contents = "".join(f'<li><a href="#s{n}">{escape(one.title)}</a></li>' for n, one in enumerate(sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{plots.POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{here.joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header><h1>{escape(title)}</h1><nav aria-label="Contents"><ul>{contents}</ul></nav></header>
<main id="content">
{body}
</main>
<footer>{escape(footer)}</footer>
<script>{plots.javascript()}</script>
<script>{here.joinpath("page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _section(number: int, section: Section) -> str:
    blocks = "\n".join(_block(block, f"s{number}b{i}") for i, block in enumerate(section.blocks))
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2><div class="blocks">\n{blocks}\n</div></section>'


def _block(block: Block, name: str) -> str:
    if isinstance(block, Text):
        return f'<p class="wide">{escape(block.text)}</p>'
    if isinstance(block, Table):
        return f'<div class="wide">{_table(block)}</div>'
    if isinstance(block, Chart):
        return _chart(block, name)
    return _map(block, name) if isinstance(block, Map) else _gallery(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in table.header)
    rows = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in table.rows)
    inner = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    if table.folded:
        return f"<details><summary>{escape(table.title)}</summary>{inner}</details>"
    return f"<h3>{escape(table.title)}</h3>{inner}"


def _cell(cell: object) -> str:
    kind = ' class="number"' if isinstance(cell, int | float) else ""
    return f"<td{kind}>{escape(f'{cell:.4g}' if isinstance(cell, float) else str(cell))}</td>"


def _chart(chart: Chart, name: str) -> str:
    wide = ' class="wide"' if chart.wide else ""
    return (
        f'<figure{wide}><figcaption id="{name}">{escape(chart.title)}</figcaption>'
        f'<div class="chart" role="img" aria-labelledby="{name}"></div>{plots.script_data(chart.spec)}'
        f"{_table(chart.table)}</figure>"
    )


def _map(block: Map, name: str) -> str:
    def options(words: dict[str, str]) -> str:
        return "".join(f'<option value="{escape(key)}">{escape(word)}</option>' for key, word in words.items())

    packed = gzip.compress(json.dumps(list(block.pictures)).encode(), mtime=0)
    data = {
        "spec": block.spec,
        "colours": list(block.colours.values()),
        "molecules": list(block.molecules),
        "pictures": base64.b64encode(packed).decode(),
    }
    return f"""<div class="map wide">
<div class="tools">
<label>Colour <select data-signal="colour">{options(block.colours)}</select></label>
<label>Layout <select data-signal="layout">{options(block.layouts)}</select></label>
<label>Find <input type="search" placeholder="name or SMILES" autocomplete="off"></label>
</div>
<div class="split">
<div class="space" tabindex="0" role="application" aria-label="Map of {len(block.molecules)} molecules"
 aria-describedby="{name}-how"></div>
<aside class="detail" aria-live="polite"><p>Point at a molecule, or press a key.</p></aside>
</div>
<p class="how" id="{name}-how">Point at a dot to see its structure, click to keep it. Keys, once the map is focused:
arrows go to the next dot that way, Page Up and Page Down through the file, Escape lets go. Shift and wheel zoom,
shift and drag move, a double click goes back.</p>
{plots.script_data(data)}
</div>"""


def _gallery(gallery: Gallery) -> str:
    def picture(svg: str, name: str, below: str) -> str:
        image = f'<img alt="" src="data:image/svg+xml,{quote(svg)}">' if svg else '<span class="none">no drawing</span>'
        return f"<li>{image}<b>{escape(name)}</b><span>{escape(below)}</span></li>"

    rows = "".join("<ul>" + "".join(picture(*one) for one in row) + "</ul>" for row in gallery.rows)
    label = escape(gallery.title)
    return (
        f'<div class="wide"><h3>{label}</h3>'
        f'<div class="gallery scroll" tabindex="0" role="region" aria-label="{label}">{rows}</div></div>'
    )

"""Charts as files: the one place that knows altair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from molmv.documents import parse_json
from molmv.errors import MissingExtraError, OutputError

# Of pages: they load nothing, and send nothing.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'"
)
ENDINGS = (".html", ".png", ".svg")


def altair() -> Any:
    """The module altair, for those who build a chart.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import altair
    except ImportError as error:
        raise MissingExtraError("altair", "plots") from error
    return altair


def specification(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite, for a page that brings :func:`javascript` with it."""
    text = json.dumps(chart.to_dict(), ensure_ascii=False)
    for separator in "\u2028\u2029":  # Vega's expressions cannot have them in a name
        text = text.replace(separator, " ")
    return parse_json(text)


def javascript() -> str:
    """All that a browser needs to draw a :func:`specification`: it defines ``vegaEmbed``, and loads nothing.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    try:
        from vl_convert import javascript_bundle
    except ImportError as error:
        raise MissingExtraError("vl-convert-python", "plots") from error
    code: str = javascript_bundle()
    return code


def script_data(value: Any) -> str:
    """JSON in a script element that is never run; without ``<`` nothing can end the element early."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json">{text}</script>'


def _page(chart: Any) -> str:
    """One chart as a page. Altair's own would run a script that hides in a name."""
    draw = 'vegaEmbed("#chart", JSON.parse(document.querySelector("script[type]").textContent), { actions: false });'
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Chart</title>
<body>
<div id="chart"></div>
{script_data(specification(chart))}
<script>{javascript()}</script>
<script>{draw}</script>
</body>
</html>
"""


def save(chart: Any, *paths: Path) -> None:
    """Write a chart, in the format that each path's ending names; an HTML page works without a network.

    Args:
        chart: an altair chart.
        paths: files that end in one of :data:`ENDINGS`; folders are made.

    Raises:
        OutputError: another ending, or the file cannot be written.
    """
    for path in paths:
        if path.suffix not in ENDINGS:
            raise OutputError(f"{path}: expected a name that ends in one of {', '.join(ENDINGS)}.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".html":
                path.write_text(_page(chart), encoding="utf-8")
            else:
                chart.save(str(path), scale_factor=2)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}.") from error

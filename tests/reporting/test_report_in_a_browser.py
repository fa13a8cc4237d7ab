"""The page as people meet it: in Chromium, small and large, light and dark, by pointer and by keys."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
READY = "document.querySelectorAll('.map').length === document.querySelectorAll('.map[data-ready]').length"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium-headless-shell")
    with sync_api.sync_playwright() as playwright:
        # Root, as in a container, has no sandbox; the page under test is ours.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[(360, "light"), (360, "dark"), (1920, "light"), (1920, "dark")], ids=str)
def opened(chromium: Any, page: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a window of a width and a scheme; whatever it complains of or asks for fails the test."""
    width, scheme = request.param
    complaints: list[str] = []
    tab = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.set_default_timeout(120_000)  # a busy machine
    tab.goto(page.as_uri())
    tab.wait_for_function(READY)
    yield tab
    assert complaints == []
    assert [url for url in asked if not url.startswith(("data:", page.as_uri()))] == []
    assert tab.evaluate("typeof hacked") == "undefined"
    tab.close()


def middle_of(tab: Any, i: int) -> tuple[float, float]:
    """Where a dot is on the screen, as Vega says."""
    place = tab.locator(".space").first
    place.scroll_into_view_if_needed()
    x, y = tab.evaluate(
        """i => { const view = document.querySelector('.map').space.view;
                  const find = item => item.datum?.i === i && item.mark.marktype === 'symbol' ? item
                    : (item.items ?? []).map(find).find(one => one);
                  const item = find(view.scenegraph().root);
                  const box = view.container().querySelector('canvas').getBoundingClientRect();
                  const [left, top] = view.origin(), around = view.padding();
                  return [box.x + left + around.left + item.x, box.y + top + around.top + item.y]; }""",
        i,
    )
    return x, y


def test_nothing_is_wider_than_the_window(opened: Any):
    assert opened.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_every_chart_is_drawn_to_its_width(opened: Any):
    charts = opened.locator("figure .chart canvas")
    assert charts.count() == opened.locator("figure").count() > 6
    for width, place in charts.evaluate_all("all => all.map(c => [c.clientWidth, c.closest('figure').clientWidth])"):
        assert 150 < width <= place


def test_pointing_at_a_dot_draws_it(opened: Any):
    opened.mouse.move(*middle_of(opened, 7))
    opened.wait_for_selector(".tip:not([hidden]) img")
    drawn = opened.locator(".tip:not([hidden]) img").first
    assert drawn.evaluate("image => image.complete && image.naturalWidth") == 180
    opened.mouse.move(0, 0)


def test_clicking_keeps_a_molecule(opened: Any):
    opened.mouse.click(*middle_of(opened, 7))
    opened.wait_for_selector(".detail b")
    assert opened.locator(".detail").first.locator("b").inner_text().endswith(" 8")  # row 3 was refused
    assert opened.locator(".detail").first.locator("button").count() == 5


def test_keys_reach_every_molecule(opened: Any):
    place = opened.locator(".space").first
    for _ in range(60):
        opened.keyboard.press("Tab")
        if place.evaluate("element => document.activeElement === element"):
            break
    else:
        pytest.fail("the map is not reached with the tab key")
    seen = set()
    for key in ["Home"] + ["PageDown"] * 28:
        opened.keyboard.press(key)
        seen.add(opened.locator(".detail").first.locator("b").inner_text())
    assert len(seen) == 29
    before = opened.locator(".detail").first.locator("b").inner_text()
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        opened.keyboard.press(key)
        seen.add(opened.locator(".detail").first.locator("b").inner_text())
    assert len(seen) == 29
    assert before
    opened.keyboard.press("Escape")
    assert opened.locator(".detail").first.locator("b").count() == 0


def test_colour_and_layout_can_be_chosen(opened: Any):
    for signal, value in (("layout", "pca"), ("colour", "c3")):
        opened.select_option(f"select[data-signal={signal}] >> nth=0", value)
        assert opened.evaluate("s => document.querySelector('.map').space.view.signal(s)", signal) == value


def test_a_molecule_is_found_by_its_name(opened: Any):
    opened.locator("input[type=search]").first.fill("datum}} <!--")
    assert opened.locator(".detail").first.locator("b").inner_text()


def test_ink_stands_out_from_paper(opened: Any):
    """The contrast of WCAG 2, at least 4.5, of plain text in either scheme."""
    ratio = opened.evaluate(
        """() => { const style = getComputedStyle(document.body);
                   const light = text => { const [r, g, b] = text.match(/\\d+/g).map(Number).map(v => v / 255)
                     .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                     return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
                   const [a, b] = [light(style.color), light(style.backgroundColor)];
                   return Math.max(a, b) / Math.min(a, b); }"""
    )
    assert ratio > 4.5

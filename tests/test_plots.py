import pytest

from molmv import plots
from molmv.errors import OutputError


@pytest.fixture(scope="module")
def chart():
    altair = pytest.importorskip("altair")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"teacher": ["<b>one</b>", "two"], "nats": [1.0, 2.0]})
    return altair.Chart(frame).mark_bar().encode(x="nats", y="teacher")


def test_a_chart_becomes_a_file_of_each_kind(chart, tmp_path):
    paths = [tmp_path / "figures" / f"chart{ending}" for ending in plots.ENDINGS]
    plots.save(chart, *paths)
    html, png, svg = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg[:500]
    assert b"<b>one</b>" not in svg

    assert b'src="http' not in html  # it works offline
    assert len(html) > 100_000


def test_another_ending_is_refused(chart, tmp_path):
    with pytest.raises(OutputError, match=r"\.png"):
        plots.save(chart, tmp_path / "chart.gif")

"""The page of `textkit map` in a real browser without a window: hover, wheel, drag, search, colours, keys, hostile texts.

Needs Chromium or Chrome (TEXTKIT_TEST_BROWSER names another program); without one, these tests are skipped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import browser as browsers
import numpy as np
import pytest
from test_mapping import HOSTILE

from textkit.retrieval.mapping.maps import Map, of_clusters, of_values
from textkit.retrieval.mapping.page import page

pytestmark = [
    pytest.mark.slow,  # a browser takes seconds to start
    pytest.mark.skipif(browsers.found() is None, reason="there is no Chromium or Chrome"),
]

COUNT = 400
CLUSTERS = ["apples, pears", "<b>dogs</b>"]


def written(folder: Path, count: int = COUNT) -> Path:
    """A page of two clouds of points; the first texts are hostile."""
    rng = np.random.default_rng(1)
    clusters = np.arange(count) % 2
    places = (0.3 + 0.4 * clusters[:, None] + rng.standard_normal((count, 2)) * 0.08).clip(0, 1).astype(np.float32)
    texts = [*HOSTILE, *(f"{'apple' if n % 2 else 'dog'} number {n}" for n in range(len(HOSTILE), count))]
    clusters[10] = -1
    columns = [of_clusters(clusters, CLUSTERS), of_values("score", [float(n) for n in range(count)])]
    columns.append(of_values("kind", [f"kind {n % 3}" for n in range(count)]))
    found = Map(places, texts, [f"line {n + 1}" for n in range(count)], clusters, CLUSTERS, columns)
    path = folder / "map.html"
    path.write_bytes(page(found, "A <map>", labels=True))
    return path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browsers.Browser]:
    path = written(tmp_path_factory.mktemp("map"))
    program = browsers.found()
    assert program is not None
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browsers.Browser(program, Path(profile)) as browser,
    ):
        browser.open(path)
        browser.settled()
        yield browser
        # These tests read the canvas, which Chromium comments on.
        assert [said for said in browser.messages if "willReadFrequently" not in said] == []
        assert [request for request in browser.requests if not request.startswith(("file:", "about:"))] == []


@pytest.fixture(autouse=True)
def fresh(shown: browsers.Browser) -> None:
    """Everything as it was when the page was opened."""
    shown("document.getElementById('over').focus()")
    shown.key("Escape", 27)
    shown("document.getElementById('over').dispatchEvent(new PointerEvent('pointerleave'))")
    shown("document.getElementById('color').value = '0'; document.getElementById('color').onchange(); textkitMap.fit()")
    shown.settled()


def text(browser: browsers.Browser, name: str) -> str:
    found = browser(f"document.getElementById('{name}').innerText")
    return str(found)


def colors(browser: browsers.Browser) -> set[tuple[int, ...]]:
    """The colours of the picture that cover at least 30 pixels and are no grey."""
    script = """(() => { const c = document.getElementById('points');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      const n = {}; for (let i = 0; i < d.length; i += 4) { const k = [d[i], d[i+1], d[i+2]].map(v => v >> 4).join(',');
      n[k] = (n[k] || 0) + 1; } return Object.entries(n).filter(([, many]) => many > 30).map(([k]) => k); })()"""
    found = [tuple(map(int, key.split(","))) for key in browser(script)]
    return {color for color in found if max(color) - min(color) > 3}


def test_hover_shows_a_text_and_where_it_is_from(shown: browsers.Browser) -> None:
    assert shown("document.getElementById('tip').hidden")
    x, y = shown("textkitMap.screen(201)")
    shown.mouse("mouseMoved", x, y)
    shown.settled()
    assert not shown("document.getElementById('tip').hidden")
    at = shown("textkitMap.state.hovered")
    assert text(shown, "tip").startswith(f"line {at + 1}")
    assert f"number {at}" in text(shown, "tip")
    shown.mouse("mouseMoved", 5, 5)
    shown.settled()
    assert shown("document.getElementById('tip').hidden")


def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves(shown: browsers.Browser) -> None:
    before, (x, y) = shown("textkitMap.view"), shown("textkitMap.screen(21)")
    shown.mouse("mouseWheel", x, y, deltaX=0, deltaY=-400)
    shown.settled()
    after = shown("textkitMap.view")
    assert after["scale"] == pytest.approx(before["scale"] * np.exp(0.6), rel=1e-3)
    assert shown("textkitMap.screen(21)") == pytest.approx([x, y], abs=1)  # a pointer is at whole pixels
    shown.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    shown.mouse("mouseMoved", x + 50, y - 30, button="left", buttons=1)
    shown.mouse("mouseReleased", x + 50, y - 30, button="left", clickCount=1)
    shown.settled()
    assert shown("textkitMap.screen(21)") == pytest.approx([x + 50, y - 30], abs=2)
    assert shown("textkitMap.state.chosen") == -1  # a drag is no click
    shown("document.getElementById('all').click()")
    shown.settled()
    assert shown("textkitMap.view")["scale"] == before["scale"]


def test_a_click_chooses_a_text(shown: browsers.Browser) -> None:
    x, y = shown("textkitMap.screen(33)")
    for kind in ("mousePressed", "mouseReleased"):
        shown.mouse(kind, x, y, button="left", clickCount=1)
    shown.settled()
    at = shown("textkitMap.state.chosen")
    assert at >= 0
    assert f"line {at + 1}" in text(shown, "chosen")


def test_search_finds_all_words_and_marks_them(shown: browsers.Browser) -> None:
    shown("document.getElementById('search').focus()")
    for letter in "APPLE 12":
        shown.key(letter, ord(letter), letter)
    shown("new Promise(done => setTimeout(done, 300))")
    expected = [n for n in range(len(HOSTILE), COUNT) if n % 2 and "12" in str(n)]
    assert text(shown, "count") == f"{len(expected)} of {COUNT} texts"
    assert shown("document.querySelectorAll('#hits li').length") == len(expected)
    assert shown("document.querySelector('#hits mark').textContent") == "apple"
    shown("document.querySelector('#hits button').click()")
    shown.settled()
    assert shown("textkitMap.state.chosen") == expected[0]
    assert f"number {expected[0]}" in text(shown, "chosen")
    shown.key("Escape", 27)
    assert shown("textkitMap.state.hits") is None


def test_colours_follow_the_column_and_the_legend_filters(shown: browsers.Browser) -> None:
    by_cluster = colors(shown)
    assert len(shown("[...document.querySelectorAll('#legend li')].map(item => item.innerText)")) == 3
    assert "<b>dogs</b>" in text(shown, "legend")
    shown("document.querySelector('#legend button').click()")
    shown.settled()
    assert len(colors(shown) & by_cluster) < len(by_cluster)  # the other cluster has faded
    assert shown("document.querySelector('#legend button').getAttribute('aria-pressed')") == "true"
    shown("document.getElementById('color').value = '1'; document.getElementById('color').onchange()")
    shown.settled()
    assert len(colors(shown)) > len(by_cluster)
    assert text(shown, "legend").split() == ["0", str(COUNT - 1)]
    shown("document.getElementById('color').value = '2'; document.getElementById('color').onchange()")
    assert "kind 2" in text(shown, "legend")


def test_the_map_is_reached_and_used_by_keys_alone(shown: browsers.Browser) -> None:
    assert shown("document.activeElement.id") == "over"
    before = shown("textkitMap.view")
    shown.key("+", 187, "+")
    shown.key("ArrowRight", 39)
    shown.settled()
    after = shown("textkitMap.view")
    assert after["scale"] == pytest.approx(1.4 * before["scale"])
    assert after["left"] > before["left"]
    shown.key("Enter", 13)
    chosen = shown("textkitMap.state.chosen")
    assert chosen >= 0
    assert f"line {chosen + 1}" in text(shown, "chosen")
    shown.key(".", 190, ".")
    assert shown("textkitMap.state.chosen") not in (-1, chosen)
    shown.key("/", 191, "/")
    assert shown("document.activeElement.id") == "search"


def test_names_of_clusters_are_drawn_where_asked_for(shown: browsers.Browser) -> None:
    script = """(() => { const c = document.getElementById('over');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()"""
    assert shown("document.getElementById('labels').checked")
    assert shown(script) > 1000
    shown("document.getElementById('labels').click()")
    shown.settled()
    assert shown(script) == 0
    shown("document.getElementById('labels').click()")


def test_dark_and_light(shown: browsers.Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    shown.dark(True)
    shown.settled()
    dark = shown(ground)
    shown.dark(False)
    shown.settled()
    assert shown(ground) != dark
    shown("document.getElementById('theme').click()")
    assert shown(ground) == dark
    shown("document.getElementById('theme').click()")


def test_hostile_texts_are_texts(shown: browsers.Browser) -> None:
    assert shown("document.title") == "A <map>"
    assert shown("document.images.length") == 0
    assert shown("document.scripts.length") == 2
    shown("textkitMap.go(0)")
    shown.settled()
    assert HOSTILE[0] in text(shown, "chosen")
    shown("textkitMap.go(2)")
    shown.settled()
    assert HOSTILE[2] in text(shown, "chosen")
    assert shown("document.images.length") == 0


def test_a_hundred_thousand_points_are_drawn_in_a_moment(shown: browsers.Browser, tmp_path: Path) -> None:
    """The bound is loose: other processes may need the processor. On an idle one a frame takes 20 ms."""
    path = written(tmp_path, 100_000)
    before = shown("location.href")
    shown.open(path)
    shown.settled()
    assert text(shown, "count") == "100,000 texts"
    times = shown(
        "Array.from({length: 7}, () => { const t = performance.now(); textkitMap.draw(); return performance.now() - t })"
    )
    assert sorted(times)[3] < 250
    shown("document.getElementById('search').value = 'number 99999'")
    shown("document.getElementById('search').dispatchEvent(new Event('input'))")
    shown("new Promise(done => setTimeout(done, 900))")
    assert shown("textkitMap.state.hits") == 1
    shown.open(Path(before.removeprefix("file://")))
    shown.settled()

"""Maps: names of clusters by hand, places that repeat, columns, the page and what hostile texts do to it, Parquet."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html import escape

import numpy as np
import pytest

from textkit.retrieval.mapping import maps, naming
from textkit.retrieval.mapping.maps import Map, of_clusters, of_values, scaled
from textkit.retrieval.mapping.page import in_script, page

pytest.importorskip("sklearn")

HOSTILE = [
    "</script><script>document.title = 'hit'</script>", "<!--<script>", "<img src=x onerror=alert(1)>",
    "DATA STYLE SCRIPT TITLE",
    "a\u2028b\u2029c", "&lt;b&gt; & \"quotes\" ' \\ \\u003c", "\ud800 half", "null\0byte", "\N{CAT FACE} 猫は マット",
]  # fmt: skip


def small(texts: list[str]) -> Map:
    """A map of texts in two clusters, on a line."""
    count = len(texts)
    places = np.stack([np.linspace(0, 1, count), np.full(count, 0.5)], axis=1).astype(np.float32)
    clusters = np.arange(count) % 3 - 1
    names = ["<one>", "two"]
    columns = [of_clusters(clusters, names), of_values("size", [float(n) for n in range(count)])]
    return Map(places, texts, [f"line {n}" for n in range(count)], clusters, names, columns)


def data_of(html: str) -> dict[str, object]:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert len(found) == 1
    value: dict[str, object] = json.loads(found[0])
    return value


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_weight_by_hand() -> None:
    # 3 of 12 words, 4 in all; clusters of 10 words on average: .25 * ln(1 + 2.5)
    assert naming.weight(3, 12, 4, 10.0) == pytest.approx(0.25 * math.log(3.5)) == pytest.approx(0.3131907)


def test_names_are_the_words_that_set_a_cluster_apart() -> None:
    texts = [
        "The cat sat with a cat",
        "the cats and a NASA cat",
        "the dog ran",
        "the dog and the NASA dog",
        "The NASA mission",
        "NASA",
    ]
    found = naming.names(texts, [0, 0, 1, 1, 2, 2], 3)
    assert found == ["cat", "dog", "NASA"]
    assert naming.names(["of the", "of the"], [0, 0], 1) == ["cluster 1"]
    assert naming.names(["x y", "ja ja"], [-1, -1], 0) == []


def test_other_forms_of_a_word_are_named_once() -> None:
    texts = ["exchange exchanging exchanged rate", "exchanging exchange exchanged rate"] * 3 + [
        "other things here",
        "things other",
    ] * 3
    assert naming.names(texts, [0] * 6 + [1] * 6, 2)[0] in ("exchange, rate", "exchanging, rate", "exchanged, rate")


def test_text_without_spaces_is_named_by_pairs_of_characters() -> None:
    assert [word for word, _ in naming.terms("東京都に Köln's 12 a １２x")] == ["東京", "京都", "都に", "köln's", "12x"]
    assert naming.names(["東京", "東京", "大阪", "大阪"], [0, 0, 1, 1], 2) == ["東京", "大阪"]


# --- columns and places -----------------------------------------------------------------------------------------------


def test_a_column_of_many_numbers_is_a_scale_and_any_other_has_kinds() -> None:
    numbers = of_values("n", [*map(str, range(20)), "", None, "1e3"])
    assert numbers.values is not None
    assert numbers.values[:3].tolist() == [0, 1, 2]
    assert np.isnan(numbers.values[20:22]).all()
    assert numbers.values[22] == 1000
    few = of_values("n", ["1", "2", "2", "", None, " "])
    assert few.codes is not None
    assert (few.names, few.codes.tolist(), few.rest) == (["2", "1"], [1, 0, 0, -1, -1, -1], "(blank)")
    assert of_values("n", [*map(str, range(20)), "x"]).values is None
    assert of_values("n", [*map(float, range(20)), math.inf]).values is None


def test_scaled_places_fill_a_square() -> None:
    found = scaled(np.array([[-10, 5], [10, 5], [0, 15]], np.float64))
    np.testing.assert_allclose(found, [[0, 0.25], [1, 0.25], [0.5, 0.75]])
    np.testing.assert_allclose(scaled(np.array([[3.0, 3.0]])), [[0.5, 0.5]])


@pytest.mark.parametrize("count", [1, 2, 7, 8, 40])
def test_places_of_few_and_equal_rows_are_finite_and_repeat(count: int) -> None:
    pytest.importorskip("openTSNE")
    from textkit.retrieval.mapping.placing import placed

    rows = np.random.default_rng(1).standard_normal((count, 5)).astype(np.float32)
    rows[: count // 2] = rows[0] if count else 0
    found = placed(rows, 1)
    assert found.shape == (count, 2)
    assert np.isfinite(found).all()
    assert np.array_equal(placed(rows, 1), found)


def test_groups_that_are_far_apart_are_clusters_the_largest_first() -> None:
    pytest.importorskip("openTSNE")
    from textkit.retrieval.mapping.placing import clustered, placed

    rng = np.random.default_rng(2)
    group = np.repeat([0, 1, 2], [20, 50, 30])
    rows = (np.eye(3, 8)[group] * 5 + rng.standard_normal((100, 8)) * 0.3).astype(np.float32)
    found = clustered(placed(rows, 1))
    for label, expected in enumerate((1, 2, 0)):
        assert np.mean(found[group == expected] == label) > 0.9
    assert (clustered(np.zeros((3, 2), np.float32)) == -1).all()


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_ends_the_element_that_holds_it(hostile: str) -> None:
    found = small([hostile, "plain", hostile])
    html = page(found, hostile, 1, labels=True).decode()
    data = data_of(html)
    assert data["texts"] == [text.encode("utf-8", "replace").decode() for text in found.texts]
    assert f"<title>{escape(hostile).encode('utf-8', 'replace').decode()}</title>" in html
    assert html.count("<script") == 2
    assert html.lower().count("</script") == 2
    assert "<img" not in html
    assert in_script(hostile).isprintable() or "\0" not in in_script(hostile)
    assert (data["color"], data["labels"]) == (1, True)


def test_the_page_has_the_points_and_asks_for_nothing() -> None:
    html = page(small(["a", "b", "c"]), "A & B").decode()
    assert "<title>A &amp; B</title>" in html
    assert "default-src 'none'" in html
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(""", html)
    data = data_of(html)
    assert np.frombuffer(base64.b64decode(data["x"]), "<u2").tolist() == [0, 32768, 65535]  # type: ignore[arg-type]
    assert np.frombuffer(base64.b64decode(data["y"]), "<u2").tolist() == [32768] * 3  # type: ignore[arg-type]
    clusters, sizes = data["columns"]  # type: ignore[misc]
    assert np.frombuffer(base64.b64decode(clusters["codes"]), "<u2").tolist() == [65535, 0, 1]
    assert (clusters["names"], clusters["rest"]) == (["<one>", "two"], maps.NONE)
    assert (sizes["name"], sizes["names"]) == ("size", ["0.0", "1.0", "2.0"])


# --- Parquet and pictures ---------------------------------------------------------------------------------------------


def test_a_parquet_file_has_a_row_for_each_point() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from textkit.retrieval.mapping import table

    found = small(["a", "b", "c"])
    fields = [
        {"text": "other", "n": 1, "mixed": 1},
        {"n": 2.5, "mixed": "x"},
        {"n": None, "deep": {"a": [1]}, "big": 2**70},
    ]
    stream = io.BytesIO()
    table.write(stream, found, ["f"] * 3, [1, 2, 3], fields)
    read = parquet.read_table(io.BytesIO(stream.getvalue())).to_pydict()
    assert list(read) == ["x", "y", "text", "cluster", "label", "file", "line", "n", "mixed", "deep", "big"]
    assert read["x"] == [0, 0.5, 1]
    assert read["text"] == ["a", "b", "c"]
    assert read["cluster"] == [-1, 0, 1]
    assert read["label"] == ["unclustered", "<one>", "two"]
    assert read["n"] == [1, 2.5, None]
    assert read["mixed"] == ["1", "x", None]
    assert read["deep"] == [None, None, '{"a": [1]}']
    assert read["big"] == [None, None, str(2**70)]


@pytest.mark.parametrize("column", [0, 1])
def test_a_picture_shows_the_points(column: int) -> None:
    image = pytest.importorskip("matplotlib.image")
    from textkit.retrieval.mapping import picture

    found = small(["a $x$", "b", "c"] * 20)
    stream = io.BytesIO()
    assert picture.write(stream, "map.png", found, "$title", found.columns[column], labels=True) == ""
    pixels = image.imread(io.BytesIO(stream.getvalue()))
    assert pixels.shape[0] > 500
    assert (pixels[:, :, :3].std(axis=2) > 0.1).mean() > 0.002  # colours

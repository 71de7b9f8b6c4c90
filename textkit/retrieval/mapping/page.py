"""Writes a map as one HTML page that needs nothing else: a canvas, its script, and the texts as JSON. Knows no model.

The texts come from anybody. They are JSON in which `<`, `>` and `&` are escaped, so that no text ends the element that holds
it; the script shows them as text nodes alone; and the page's policy lets it load nothing.
"""

from __future__ import annotations

import base64
import html
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np

from textkit.retrieval.mapping.maps import Column, Map

REST = 65535  # the code of what has no value of its own
_MOST = 60_000  # values of a column that have codes of their own


def page(found: Map, title: str, color: int = 0, labels: bool = False) -> bytes:
    """The page of a map. `color`: the number of the column that points are coloured by; `labels`: whether clusters' names
    show."""
    data: dict[str, Any] = {
        "x": _packed(np.round(_within(found.places[:, 0]) * 65535).astype("<u2")),
        "y": _packed(np.round((1 - _within(found.places[:, 1])) * 65535).astype("<u2")),  # a canvas counts from the top
        "texts": found.texts,
        "places": found.origins,
        "columns": [_column(column) for column in found.columns],
        "clusters": [
            {"name": name, "x": round(float(x), 4), "y": round(1 - float(y), 4)}
            for name, (x, y) in zip(found.names, _centers(found), strict=True)
        ],
        "color": color,
        "labels": labels,
    }
    parts = files(__package__)
    shell = (parts / "page.html").read_text("utf-8")
    safe = html.escape(title)
    pieces = {
        "TITLE": safe,
        "STYLE": (parts / "page.css").read_text("utf-8"),
        "SCRIPT": (parts / "page.js").read_text("utf-8"),
    }
    before, after = (_filled(side, pieces) for side in shell.split("DATA"))
    return (before + in_script(data) + after).encode("utf-8", "replace")


def in_script(value: Any) -> str:
    """`value` as JSON that may stand in a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _filled(text: str, pieces: dict[str, str]) -> str:
    """All in one pass: a title may hold the words that stand for other parts."""
    return re.sub("|".join(pieces), lambda found: pieces[found[0]], text)


def _within(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1."""
    return np.clip(values, 0.0, 1.0)


def _centers(found: Map) -> list[tuple[float, float]]:
    """The middle of each cluster: the medians of its points."""
    return [tuple(np.median(found.places[found.clusters == at], axis=0)) for at in range(len(found.names))]


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _column(column: Column) -> dict[str, Any]:
    if column.values is not None:
        told = column.values[~np.isnan(column.values)]
        least, most = (float(told.min()), float(told.max())) if len(told) else (0.0, 0.0)
        return {"name": column.name, "values": _packed(column.values.astype("<f4")), "least": least, "most": most}
    assert column.codes is not None
    codes = np.where((column.codes < 0) | (column.codes >= _MOST), REST, column.codes).astype("<u2")
    return {"name": column.name, "codes": _packed(codes), "names": list(column.names[:_MOST]), "rest": column.rest}

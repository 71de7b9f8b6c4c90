"""The labels and the weights that cells of tables and values of JSON lines are. Knows no file."""

from __future__ import annotations

import json
import math
from typing import Any

from textkit.corpora.tables import in_one_line
from textkit.errors import quoted
from textkit.evaluation.layouts import as_number
from textkit.streams.columns import without_surrogates
from textkit.tasks.classify.task import LONGEST_LABEL

MOST_WEIGHT = 1e30  # f32 holds the sum of a batch of them


def labels_of(cell: Any, several: bool) -> tuple[str, ...]:
    """The labels in a cell, or in a value of JSON lines, each once. ValueError says what is wrong with it.

    One label is all of the cell, whatever it holds, without the space around it. `several`: with commas between them, or a
    JSON list; none in an empty cell.
    """
    if not several:
        if isinstance(cell, list):
            raise ValueError("has a list of labels: several=true learns several labels of a line")
        return (label_of(cell),)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return ()
    parts: Any = [cell]
    if isinstance(cell, list):
        parts = cell
    elif isinstance(cell, str):
        parts = _listed(cell.strip()) if cell.lstrip().startswith("[") else None
        parts = cell.split(",") if parts is None else parts
    return tuple(dict.fromkeys(map(label_of, parts)))


def _listed(cell: str) -> list[Any] | None:
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def label_of(value: Any) -> str:
    """A label that is a text, a number or a truth value. ValueError says what is wrong with it."""
    if isinstance(value, str):
        label = in_one_line(without_surrogates(value)).strip()
    elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):  # a truth value too
        label = json.dumps(value)
    else:
        raise ValueError(f"the label is {_shown(value)}: neither a text nor a number")
    if not label:
        raise ValueError("the label is empty")
    if len(label) > LONGEST_LABEL:
        raise ValueError(f"the label has {len(label)} characters, and {LONGEST_LABEL} are the most: is it the text?")
    return label


def weight_of(value: Any) -> float:
    """How much a line counts. ValueError says what is wrong with it."""
    weight = None
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        weight = as_number(str(value))
    if weight is None or not 0 <= weight <= MOST_WEIGHT:
        to = f" to {MOST_WEIGHT:g}" if weight is not None and weight > 0 else ""
        raise ValueError(f"the weight is {_shown(value)}: no number from 0{to}")
    return weight


def _shown(value: Any) -> str:
    """A value as the file spells it: null, not None."""
    return quoted(value) if isinstance(value, str) else quoted(json.dumps(value, ensure_ascii=False))[1:-1]

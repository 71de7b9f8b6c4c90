"""Tells labelled lines from other data, and labels from texts, by what the first lines look like."""

from __future__ import annotations

from collections.abc import Sequence

from textkit.corpora.tables import head_rows, kind_of, opened
from textkit.errors import TextkitError
from textkit.evaluation.layouts import names_labels
from textkit.evaluation.measuring import NOT, SURE
from textkit.tasks.classify.marked import are_marked

_FEWEST = 4  # rows from which something can be told
_MOST_WORDS = 3  # of a label, on the average, where nothing says that it is one
_ENDS = tuple(".!?\u3002\uff01\uff1f")  # of sentences, which are no labels


def claims(paths: Sequence[str]) -> int:
    """How likely these files are data for models of the task `classify`: labelled lines, in each of them."""
    return min(map(_claim, paths), default=NOT)


def label_is_second(cells: Sequence[Sequence[str]]) -> bool:
    """Whether rows of two columns look like texts and then their labels, which recur and are shorter."""
    pairs = [row for row in cells if len(row) == 2]
    first, second = ([row[at] for row in pairs] for at in (0, 1))
    few = len(set(second))
    recur = len(pairs) >= _FEWEST and 2 * few <= len(pairs)
    return recur and few < len(set(first)) and _length(second) < _length(first)


def _length(cells: Sequence[str]) -> int:
    return sum(map(len, cells))


def _claim(path: str) -> int:
    try:
        with opened(path) as source:
            if not source.head or are_marked([line for _, line in source.head]):
                return SURE if source.head else NOT
            kind = kind_of(source, names_labels)
            looked = head_rows(source, kind)
    except TextkitError:  # whoever measures it will say so
        return NOT
    return SURE if names_labels(looked[0][1]) or (kind == "tsv" and _recur([cells for _, cells in looked])) else NOT


def _recur(cells: Sequence[Sequence[str]]) -> bool:
    """Whether the first of two columns looks like labels: short, without the ends of sentences, each of several rows.

    Parallel text has two columns too, and its sources recur where they have several references.
    """
    if len(cells) < _FEWEST or any(len(row) != 2 for row in cells):
        return False
    labels, lines = ([row[at].strip() for row in cells] for at in (0, 1))
    few, words = len(set(labels)), sum(len(label.split()) for label in labels)
    if 2 * few > len(labels) or few >= len(set(lines)) or words > _MOST_WORDS * len(labels):
        return False
    return 2 * sum(label.endswith(_ENDS) for label in labels) < len(labels) and 2 * _length(labels) <= _length(lines)

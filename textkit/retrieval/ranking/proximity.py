"""How closely together a text says the words of a query (term proximity; Tao and Zhai 2007). Knows no index.

BM25 counts words wherever they are. Of two texts that have the same words, the one that has them in one place is more likely to
answer the query.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from math import log

from textkit.retrieval.analysis import terms

_WINDOW = 15  # terms in a row: about a clause; wider windows gave less on MED, CACM and TIME (docs/search.md)


def proximity(wanted: Sequence[str], frequency: Callable[[str], int], rows: int) -> Callable[[str], float]:
    """Texts -> the share of the query's terms that stand within a window, each by its weight in BM25: from 0 to 1.

    `wanted`: the terms of the query. `frequency`: how many of all `rows` have a term; one that none has does not count.
    """
    weights: dict[str, float] = {}
    for term in dict.fromkeys(wanted):
        if count := min(frequency(term), rows):  # rows that are out of date may be counted too
            weights[term] = log(1 + (rows - count + 0.5) / (count + 0.5))
    return lambda text: closest(terms(text), weights)


def closest(said: Sequence[str], weights: Mapping[str, float]) -> float:
    """The largest share of all `weights`, by term, that stands within _WINDOW of the terms `said`."""
    whole = sum(weights.values())
    inside: deque[tuple[int, str]] = deque()  # the places and terms of the window that count
    held: Counter[str] = Counter()
    sum_, best = 0.0, 0.0
    for at, term in enumerate(said):
        if term not in weights:
            continue
        while inside and inside[0][0] <= at - _WINDOW:
            _, left = inside.popleft()
            held[left] -= 1
            if not held[left]:
                sum_ -= weights[left]
        inside.append((at, term))
        held[term] += 1
        if held[term] == 1:
            sum_ += weights[term]
            best = max(best, sum_)
    return min(1.0, best / whole) if whole else 0.0

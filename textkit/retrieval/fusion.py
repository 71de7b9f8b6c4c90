"""Fuses what different ways of searching found for one query: a convex combination of scores (Bruch, Gai and Ingber 2023).

Each score is first brought to the range from 0 (the least that such a score can be) to 1 (the best that was found): TM2C2.
Fusing by reciprocal rank (Cormack, Clarke and Buettcher 2009) looks at places alone: there a line that has all words of the
query is worth no more than one that is first by a hair. docs/search.md has what both gave. Knows no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Ranking(NamedTuple):
    """What one way of searching found: (row, score) pairs, the best first, `least` the least score there can be."""

    found: Sequence[tuple[int, float]]
    least: float
    weight: float


def fused(rankings: Sequence[Ranking]) -> list[tuple[int, float]]:
    """(row, score) of every row of `rankings`, the best first.

    The score is the weighted mean of what the rankings say, where a row that a ranking lacks has 0; at most 1. An empty ranking
    has no say. Of equal rows, the one that an earlier ranking has earlier comes first.
    """
    rankings = [ranking for ranking in rankings if ranking.found]
    whole = sum(ranking.weight for ranking in rankings)
    scores: dict[int, float] = {}
    for found, least, weight in rankings:
        best = max(score for _, score in found) - least
        for row, score in found:
            share = (score - least) / best if best > 0 else 0.0
            scores[row] = scores.get(row, 0.0) + weight / whole * share
    # Rounding must not order rows whose sums are equal: the order in which they are added differs. sorted() is stable.
    return sorted(((row, round(score, 12)) for row, score in scores.items()), key=lambda found: -found[1])

"""Fuses what different ways of searching found for one query: a convex combination of scores (Bruch, Gai and Ingber 2023).

Each score is first brought to the range from 0 (the least that such a score can be) to 1 (the best that was found): TM2C2.
Fusing by reciprocal rank (Cormack, Clarke and Buettcher 2009) looks at places alone: there a line that has all words of the
query is worth no more than one that is first by a hair. docs/search.md has what both gave. Knows no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Found = list[tuple[int, float]]  # (row, score), the best first


class Ranking(NamedTuple):
    """What one way of searching found: (row, score) pairs, the best first, `least` the least score there can be."""

    found: Sequence[tuple[int, float]]
    least: float
    weight: float


def weighed(rankings: Sequence[Ranking]) -> float:
    """The weights of all rankings that are not empty."""
    return sum(ranking.weight for ranking in rankings if ranking.found)


def beside(
    found: Sequence[tuple[int, float]], whole: float, shares: Sequence[tuple[int, float]], weight: float
) -> Found:
    """What `fused` gives for the rankings of `found`, which weigh `whole`, and one more, of some of its rows: shares from 0 on.

    It does not count if nothing in it is above 0.
    """
    best = max((share for _, share in shares), default=0.0)
    if best <= 0:
        return list(found)
    added = {row: weight * share / best for row, share in shares}
    total = whole + weight
    scores = [(row, round((score * whole + added.get(row, 0.0)) / total, 12)) for row, score in found]
    return sorted(scores, key=_by_score)


def _by_score(found: tuple[int, float]) -> float:
    return -found[1]


def fused(rankings: Sequence[Ranking]) -> Found:
    """(row, score) of every row of `rankings`, the best first.

    The score is the weighted mean of what the rankings say, where a row that a ranking lacks has 0; at most 1. An empty ranking
    has no say. Of equal rows, the one that an earlier ranking has earlier comes first.
    """
    whole = weighed(rankings)
    scores: dict[int, float] = {}
    for found, least, weight in rankings:
        best = max((score for _, score in found), default=least) - least
        part = weight / whole / best if best > 0 else 0.0
        for row, score in found:
            scores[row] = scores.get(row, 0.0) + part * (score - least)
    # Rounding must not order rows whose sums are equal: the order in which they are added differs. sorted() is stable.
    return sorted([(row, round(score, 12)) for row, score in scores.items()], key=_by_score)

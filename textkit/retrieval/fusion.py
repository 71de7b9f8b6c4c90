"""Fuses rankings of the same query by reciprocal rank (Cormack, Clarke and Buettcher 2009). Knows no index.

Ranks rather than scores are added, because a cosine and a BM25 score have no common scale.
"""

from __future__ import annotations

from collections.abc import Sequence

K = 60  # as in the paper: how little it matters whether a row is first or second


def fused(
    rankings: Sequence[Sequence[int]], weights: Sequence[float] | None = None, k: int = K
) -> list[tuple[int, float]]:
    """(row, score) of every row of `rankings`, the best first; each ranking is a list of rows, its best first.

    The score is the sum of weight / (k + rank) over the rankings that have the row, ranks counted from 1, divided by what a row
    has that is the first of all of them: at most 1. Of equal rows, the one that an earlier ranking ranks higher comes first.
    """
    weights = [1.0] * len(rankings) if weights is None else weights
    best = sum(weights) / (k + 1)
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + weight / (k + rank)
    # Rounding must not order rows whose sums are equal: the order in which they are added differs. sorted() is stable.
    return sorted(((row, round(score / best, 12)) for row, score in scores.items()), key=lambda found: -found[1])

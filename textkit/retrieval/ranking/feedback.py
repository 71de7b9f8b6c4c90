"""Feedback: what the best rows of a search say about the others. Knows no index.

Two ways that need nobody's judgement. The terms of the best texts widen the query (RM3; Lavrenko and Croft 2001, Abdul-Jaleel
et al. 2004). And a row's score is mixed with those of the rows nearest to it (Diaz 2005), because what is alike tends to answer
the same query (van Rijsbergen's cluster hypothesis). Both help where many rows answer a query, and blur a search for the one
row that does. So they count as much as it is in doubt which row is the best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import log

import numpy as np

from textkit.retrieval.ranking.fusion import Found

FROM = 50  # rows that were found; among fewer, the nearest are not near
LOOKED_AT = 100  # the best rows, whose scores are mixed
BEST = 3  # the rows whose terms widen a query
_NEIGHBOURS = 2
_MIXED = 0.2  # the share of the neighbours in a score
_ADDED = 0.3  # the share of the terms that are added, in the weights of a query
_MOST_ADDED = 75
# Products that are made at once: too few for the matrix library to wake threads for, which would wait, busily, for each other.
_LIGHT = 200_000
_PLACE = 4  # the row whose distance to the best one says how much the best stands out, from 0
_SURE, _OPEN = 0.27, 0.09  # distances: from which on the best stands out, and up to which it does not at all


def doubt(found: Sequence[tuple[int, float]]) -> float:
    """How little the best of some rows stands out, from 0 to 1; scores are at most 1."""
    if len(found) < FROM:
        return 0.0
    distance = found[0][1] - found[_PLACE][1]
    return min(1.0, max(0.0, (_SURE - distance) / (_SURE - _OPEN)))


def alike(vectors: np.ndarray) -> np.ndarray:
    """f32[row, row]: the cosines of some rows f32[row, dim] of length 1 with each other."""
    found = np.empty((len(vectors), len(vectors)), np.float32)
    step = max(1, _LIGHT // max(1, vectors.size))
    for at in range(0, len(vectors), step):
        np.dot(vectors[at : at + step], vectors.T, out=found[at : at + step])
    return found


def mixed(found: Found, cosines: np.ndarray, share: float) -> Found:
    """`found`, the scores of whose first rows are mixed with those of their nearest neighbours among them.

    `cosines`: f[row, row] of the first rows. `share`: of the neighbours' part. The rows behind them stay there.
    """
    first, behind = found[: len(cosines)], found[len(cosines) :]
    scores = np.array([score for _, score in first])
    near = np.round(cosines.astype(np.float64), 5)  # so that rounding does not choose between neighbours
    np.fill_diagonal(near, -2)
    nearest = np.argsort(-near, axis=1, kind="stable")[:, :_NEIGHBOURS]
    weights = np.maximum(np.take_along_axis(near, nearest, 1), 0) ** 2
    whole = weights.sum(axis=1)
    theirs = np.divide((weights * scores[nearest]).sum(axis=1), whole, out=scores.copy(), where=whole > 0)
    part = _MIXED * share
    values = np.round((1 - part) * scores + part * theirs, 12).tolist()
    ranked = sorted(zip((row for row, _ in first), values, strict=True), key=lambda each: -each[1])
    least = ranked[-1][1] if ranked else 0.0
    return [*ranked, *((row, min(score, least)) for row, score in behind)]


def widened(
    wanted: Sequence[str], best: Sequence[tuple[Sequence[str], float]], frequency: Callable[[str], int], rows: int,
    share: float,
) -> dict[str, float]:  # fmt: skip
    """The terms of a query with their weights, and those that the best texts add.

    `wanted`: the query's terms. `best`: the terms of each of the best texts, and its score. `frequency`: how many of all `rows`
    have a term. `share`: of the added terms' part. The weights are 1 in all.
    """
    added: dict[str, float] = {}
    whole = sum(score for _, score in best) or 1.0
    for said, score in best:
        for term, count in Counter(said).items():
            common = min(frequency(term), rows)
            rarity = log(1 + (rows - common + 0.5) / (common + 0.5))
            added[term] = added.get(term, 0.0) + score / whole * count / len(said) * rarity
    chosen = sorted(added.items(), key=lambda each: (-round(each[1], 12), each[0]))[:_MOST_ADDED]
    total = sum(weight for _, weight in chosen)
    part = _ADDED * share if total else 0.0
    asked = dict.fromkeys(wanted)
    weights: dict[str, float] = dict.fromkeys(asked, (1 - part) / max(1, len(asked)))
    for term, weight in chosen:
        weights[term] = weights.get(term, 0.0) + part * weight / total
    return weights

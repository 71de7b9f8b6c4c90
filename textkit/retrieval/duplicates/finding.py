"""Finds what is kept of some records and what is dropped as a near-duplicate. Knows no file and no output.

Records are looked at in the order of `keep`. A record is dropped if it is at least as alike to one that is kept as the
threshold says; it is a duplicate of the kept one nearest to it. So no two kept records are near-duplicates, and each dropped
one has a kept one that is at least that near to it: near-duplicates of near-duplicates are no reason to drop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from textkit.retrieval.duplicates.near import Found

Keep = Literal["first", "longest"]
KEEPS: tuple[Keep, ...] = ("first", "longest")
_AT_ONCE = 1 << 16  # pairs that are Python's numbers, which take ten times the memory


def order_of(texts: Sequence[str], keep: Keep) -> np.ndarray:
    """The order in which texts are looked at, i64[text]: as they come, or the longest first."""
    if keep == "first":
        return np.arange(len(texts))
    return np.argsort(-np.fromiter(map(len, texts), np.int64, len(texts)), kind="stable")


def kept(
    vectors: np.ndarray, order: np.ndarray, threshold: float, threads: int, progress: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The text that each text is kept or dropped for, i64[text] (its own number: it is kept), and how alike they are,
    f64[text].

    `vectors` f32[text, dim], of any length.
    """
    from textkit.retrieval.duplicates.near import Near, unit

    rows = unit(vectors)
    if (np.diff(order) < 0).any():
        rows = rows[order]
    of, similarity = Near(rows, threshold, threads, progress).kept()
    return _unordered(of, similarity, order)


def pairs(vectors: np.ndarray, threshold: float, threads: int, progress: Callable[[int], None]) -> Iterator[Found]:
    """All pairs of texts that are alike enough: the later, the earlier and the similarity of each, in order."""
    from textkit.retrieval.duplicates.near import Near, unit

    yield from Near(unit(vectors), threshold, threads, progress).pairs()


def kept_of_pairs(found: Found, order: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """What `kept` gives, from pairs that include all those of the threshold."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    one, other, similarity = (part[found[2] >= threshold] for part in found)
    one, other = np.maximum(rank[one], rank[other]), np.minimum(rank[one], rank[other])
    sequence = np.lexsort((other, one))
    of, best = np.arange(len(order)), np.ones(len(order))
    for at in range(0, len(sequence), _AT_ONCE):
        some = sequence[at : at + _AT_ONCE]
        for row, before, near in zip(one[some].tolist(), other[some].tolist(), similarity[some].tolist(), strict=True):
            if of[before] == before and (of[row] == row or near > best[row]):
                of[row], best[row] = before, near
    return _unordered(of, best, order)


def _unordered(of: np.ndarray, similarity: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by the numbers of texts instead of their places in the order."""
    places, found = np.empty_like(of), np.empty_like(similarity)
    places[order], found[order] = order[of], similarity
    return places, found

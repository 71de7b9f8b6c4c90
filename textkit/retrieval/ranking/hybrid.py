"""What hybrid search fuses, and with which weights. Knows no index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from textkit.retrieval.analysis import has_digit, telling, terms
from textkit.retrieval.ranking import answers, feedback, fusion
from textkit.retrieval.ranking.fusion import Found, Ranking
from textkit.retrieval.ranking.proximity import proximity

MEANING, WORDS, NAMES = "meaning", "words", "names"
# Bruch et al. 2023 advise .8 for a model such as MiniLM; .7 was better on MED, CACM and TIME (docs/search.md). What names
# something has its weight on top of the other two.
_WEIGHTS = {MEANING: 0.7, WORDS: 0.3, NAMES: 0.2}
_LEAST = {MEANING: -1.0, WORDS: 0.0, NAMES: 0.0}  # a cosine, and BM25
_CLOSE = 0.1  # the weight of words that stand close together, on top of the others
_ANSWER = 0.15  # the weight of what may be the answer of a question
_LOOKED_AT = 20  # the best rows, whose texts are read for both; 100 gave the same
_RARE = 0.05  # the share of rows that may have a code or a number that names something
_FEW = 3  # the rows that may have a word that names something: a name in many of them is what they are about

Scores = dict[str, dict[int, float]]  # of MEANING, WORDS or NAMES, by row


class Rows(Protocol):
    """What is asked of the rows that are searched, for one query."""

    @property
    def count(self) -> int:
        """How many there are."""

    def text(self, row: int) -> str: ...

    def frequency(self, term: str) -> int:
        """How many rows have a term."""

    def cosines(self, rows: Sequence[int]) -> list[float]:
        """The cosine of each with the query."""

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        """f32[row, dim], of length 1."""

    def said(self, weights: Mapping[str, float]) -> Found:
        """The best rows by words, where each term has a weight."""


def naming(query: str, frequency: Callable[[str], int], rows: int) -> list[str]:
    """The terms of a query by which few of all `rows` are named; `frequency`: the number of rows that have a term."""
    return [
        term for term in telling(query) if 0 < frequency(term) <= (max(1, _RARE * rows) if has_digit(term) else _FEW)
    ]


def fused(query: str, scores: Scores, rows: Rows, widen: bool = True) -> Found:
    """(row, score) of all rows that MEANING, WORDS or NAMES found, the best first; at most 1.

    Rows that words alone found are given their cosines in `scores`. `widen`: whether feedback may find rows of its own. A
    question that announces a number or a name has one answer: there is no feedback for it.
    """
    wanted = terms(query)
    near = cache(_near(wanted, rows))
    found = _ranked(scores, rows, near)
    if kind := answers.wanted(query):
        likely = answers.likely(kind, query)
        shares = [(row, likely(rows.text(row))) for row, _ in found[:_LOOKED_AT]]
        return fusion.beside(found, 1.0, shares, _ANSWER)
    share = feedback.doubt(found) if widen and MEANING in scores else 0.0
    if not share:
        return found
    found = _mixed(found, rows, share)
    best = [(terms(rows.text(row)), score) for row, score in found[: feedback.BEST]]
    weights = feedback.widened(wanted, [each for each in best if each[0]], rows.frequency, rows.count, share)
    more = {**scores, WORDS: dict(rows.said(weights))}
    found = _mixed(_ranked(more, rows, near), rows, share)
    scores[MEANING] = more[MEANING]
    return found


def _near(wanted: Sequence[str], rows: Rows) -> Callable[[int], float]:
    """How closely together a row says the query's terms."""
    share = proximity(wanted, rows.frequency, rows.count)
    return lambda row: share(rows.text(row))


def _ranked(scores: Scores, rows: Rows, near: Callable[[int], float]) -> Found:
    """What was found, by the weighted scores of all, and among the best by how closely together they say the query's words."""
    if MEANING in scores:  # where nothing is near enough, too
        absent = sorted(set().union(*scores.values()) - scores[MEANING].keys())
        if absent:  # found by words alone
            scores[MEANING] = scores[MEANING] | dict(zip(absent, rows.cosines(absent), strict=True))
    rankings = [
        Ranking(list(scores[way].items()), _LEAST[way], weight) for way, weight in _WEIGHTS.items() if way in scores
    ]
    found = fusion.fused(rankings)
    close = [(row, near(row)) for row, _ in found[:_LOOKED_AT]]
    return fusion.beside(found, fusion.weighed(rankings), close, _CLOSE)


def _mixed(found: Found, rows: Rows, share: float) -> Found:
    vectors = rows.vectors([row for row, _ in found[: feedback.LOOKED_AT]])
    return feedback.mixed(found, feedback.alike(vectors), share)

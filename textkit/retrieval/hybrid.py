"""What hybrid search fuses, and with which weights. Knows no index."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textkit.retrieval import fusion
from textkit.retrieval.analysis import has_digit, telling
from textkit.retrieval.fusion import Ranking

MEANING, WORDS, NAMES = "meaning", "words", "names"
# Bruch et al. 2023 advise .8 for a model such as MiniLM; .7 was better on MED, CACM and TIME (docs/search.md). What names
# something has its weight on top of the other two.
_WEIGHTS = {MEANING: 0.7, WORDS: 0.3, NAMES: 0.2}
_LEAST = {MEANING: -1.0, WORDS: 0.0, NAMES: 0.0}  # a cosine, and BM25
_CLOSE = 0.1  # the weight of words that stand close together, on top of the others
_LOOKED_AT = 20  # the best rows, whose texts are read for it; 100 gave the same
_RARE = 0.05  # the share of rows that may have a code or a number that names something
_FEW = 3  # the rows that may have a word that names something: a name in many of them is what they are about


def naming(query: str, frequency: Callable[[str], int], rows: int) -> list[str]:
    """The terms of a query by which few of all `rows` are named; `frequency`: the number of rows that have a term."""
    return [
        term for term in telling(query) if 0 < frequency(term) <= (max(1, _RARE * rows) if has_digit(term) else _FEW)
    ]


def fused(scores: Mapping[str, Mapping[int, float]], near: Callable[[int], float]) -> list[tuple[int, float]]:
    """(row, score) of all rows that MEANING, WORDS or NAMES found, the best first; `scores`: what each gave, by row.

    A row that words found should have its cosine among those of MEANING, however far it is. `near`: how closely together a row
    says the query's words (see proximity); it is asked of the best rows alone, whose order it may change.
    """
    rankings = [
        Ranking(list(scores[way].items()), _LEAST[way], weight) for way, weight in _WEIGHTS.items() if way in scores
    ]
    found = fusion.fused(rankings)
    close = [(row, near(row)) for row, _ in found[:_LOOKED_AT]]
    if not any(share for _, share in close):
        return found
    return fusion.fused([*rankings, Ranking(close, 0.0, _CLOSE)])

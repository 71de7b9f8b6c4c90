"""Which of several translations of a line is the best: the most like its reference or, without one, the most like the others.

Likeness is chrF (Popović 2015), sentence by sentence. The choice without a reference is minimum Bayes risk (Kumar and Byrne
2004): what many candidates nearly agree on is probably right. Knows no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_ORDER, _BETA2 = (
    6,
    4.0,
)  # the longest n-gram of characters, and the square of how much more recall counts than precision
_TINY = 1e-16


class Grams:
    """The n-grams of a text's characters, counted once for all comparisons. White space does not count, as in sacrebleu, of
    which chrF here is a tenth of the time."""

    def __init__(self, text: str) -> None:
        characters = "".join(text.split())
        self.counts = [
            Counter(characters[at : at + size] for at in range(len(characters) - size + 1))
            for size in range(1, _ORDER + 1)
        ]
        self.totals = [max(0, len(characters) - size + 1) for size in range(1, _ORDER + 1)]


def chrf(hypothesis: Grams, reference: Grams) -> float:
    """chrF2 from 0 to 100: the F-score of the mean precision and recall over the orders that both texts have."""
    precision = recall = orders = 0.0
    for ours, theirs, count, wanted in zip(
        hypothesis.counts, reference.counts, hypothesis.totals, reference.totals, strict=True
    ):
        if not count or not wanted:
            break  # longer ones neither
        few, many = (ours, theirs) if len(ours) < len(theirs) else (theirs, ours)
        same = sum(min(number, many[gram]) for gram, number in few.items() if gram in many)
        precision, recall, orders = precision + same / count, recall + same / wanted, orders + 1
    if precision + recall < _TINY:
        return 0.0
    precision, recall = precision / orders, recall / orders
    return 100 * (1 + _BETA2) * precision * recall / (_BETA2 * precision + recall)


def best(candidates: Sequence[str], reference: str = "") -> int:
    """The number of the best candidate, the first of equals. One that occurs several times counts as often for the others."""
    if len(candidates) < 2:
        return 0
    grams = {text: Grams(text) for text in candidates}
    if reference:
        wanted = Grams(reference)
        score = {text: chrf(counted, wanted) for text, counted in grams.items()}
    else:
        votes = Counter(candidates)
        score = {
            text: sum(number * chrf(counted, grams[other]) for other, number in votes.items())
            for text, counted in grams.items()
        }
    return max(range(len(candidates)), key=lambda at: (score[candidates[at]], -at))

"""Which of several translations of a line is the best: the most like its reference or, without one, the most like the others.

Likeness is sacrebleu's chrF (Popović 2015), sentence by sentence. The choice without a reference is minimum Bayes risk (Kumar
and Byrne 2004): what many candidates nearly agree on is probably right. Knows no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def best(candidates: Sequence[str], reference: str = "") -> int:
    """The number of the best candidate, the first of equals. One that occurs several times counts as often for the others."""
    if len(candidates) < 2:
        return 0
    from sacrebleu.metrics import CHRF

    chrf, wanted = CHRF(), Counter([reference] if reference else candidates)
    score = {
        text: sum(count * chrf.sentence_score(text, [other]).score for other, count in wanted.items() if other != text)
        + 100 * wanted[text]  # what a text scores beside itself
        for text in set(candidates)
    }
    return max(range(len(candidates)), key=lambda at: (score[candidates[at]], -at))

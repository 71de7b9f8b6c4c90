"""How good a ranking is, as trec_eval counts it: nDCG (Järvelin and Kekäläinen 2002, section 2.2), recall, reciprocal rank.

A ranking is i64[rank]: the grades of what was found, best first, 0 where nobody judged it. `judged` i64[document] has all
grades of the query. A grade of 1 or more is relevant; one below 0 counts as 0. Where nothing is relevant, a figure is 0, and
counts in the mean, as in trec_eval. Knows no model and no text.
"""

from __future__ import annotations

import numpy as np

DEPTH = 1000  # results of a query, as many as a run of TREC holds


def ndcg(found: np.ndarray, judged: np.ndarray, k: int) -> float:
    """The discounted gain of the first `k`, divided by that of the best order. A document's gain is its grade."""
    best = _gain(np.sort(judged)[::-1][:k])
    return _gain(found[:k]) / best if best else 0.0


def recall(found: np.ndarray, judged: np.ndarray, k: int) -> float:
    """The share of the relevant documents that are among the first `k`."""
    relevant = int((judged > 0).sum())
    return int((found[:k] > 0).sum()) / relevant if relevant else 0.0


def reciprocal_rank(found: np.ndarray) -> float:
    """1 / the rank of the first relevant document, 0 if none was found."""
    relevant = np.flatnonzero(found > 0)
    return 1 / (1 + int(relevant[0])) if len(relevant) else 0.0


def _gain(grades: np.ndarray) -> float:
    return float((np.maximum(grades, 0) / np.log2(np.arange(len(grades)) + 2)).sum())

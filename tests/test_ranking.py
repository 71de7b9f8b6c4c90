"""Measures of rankings: by hand, and against trec_eval's own code."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textkit.evaluation.ranking import ndcg, recall, reciprocal_rank


def test_ndcg_by_hand():
    # Gains 0, 3, 1 at ranks 1, 2, 3; the best order is 3, 2, 1.
    found, judged = np.array([0, 3, 1]), np.array([1, 3, 0, 2])
    gain = 3 / math.log2(3) + 1 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(found, judged, 10) == pytest.approx(gain / best, abs=1e-15)
    assert ndcg(found, judged, 2) == pytest.approx((3 / math.log2(3)) / (3 + 2 / math.log2(3)), abs=1e-15)
    assert ndcg(found, judged, 1) == 0
    assert ndcg(np.array([3, 2, 1, 0]), judged, 10) == 1


def test_recall_and_reciprocal_rank_by_hand():
    found, judged = np.array([0, 0, 2, -1, 1]), np.array([2, 1, 1, 0, -1])
    assert [recall(found, judged, k) for k in (2, 3, 4, 5, 100)] == [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert reciprocal_rank(found) == 1 / 3
    assert reciprocal_rank(np.array([0, -1])) == 0


def test_nothing_found_and_nothing_relevant_count_as_0():
    nothing = np.zeros(0, np.int64)
    for found, judged in ((nothing, np.array([1])), (np.array([0, -2]), np.array([0, -2]))):
        assert (ndcg(found, judged, 10), recall(found, judged, 10), reciprocal_rank(found)) == (0, 0, 0)


@pytest.mark.parametrize("highest", [1, 3])
def test_equal_to_trec_eval(highest):
    trec = pytest.importorskip("pytrec_eval")
    random = np.random.default_rng(highest)
    for _ in range(200):
        size = int(random.integers(1, 150))
        documents = [f"d{number}" for number in range(size)]
        grades = {d: int(random.integers(-1, highest + 1)) for d in documents if random.random() < 0.3}
        run = {d: -float(rank) for rank, d in enumerate(documents) if random.random() < 0.9}
        if not grades or not run:
            continue
        measures = {"ndcg_cut.10", "recall.10,100", "recip_rank"}
        wanted = trec.RelevanceEvaluator({"q": grades}, measures).evaluate({"q": run})["q"]
        found, judged = np.array([grades.get(d, 0) for d in run]), np.array(list(grades.values()))
        assert ndcg(found, judged, 10) == pytest.approx(wanted["ndcg_cut_10"], abs=1e-12)
        assert recall(found, judged, 10) == pytest.approx(wanted["recall_10"], abs=1e-12)
        assert recall(found, judged, 100) == pytest.approx(wanted["recall_100"], abs=1e-12)
        assert reciprocal_rank(found) == pytest.approx(wanted["recip_rank"], abs=1e-12)

"""How familiar a line is, by hand: the score, the quantiles, the share."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.tasks.classify.serving import familiarity
from textkit.tasks.classify.task import QUANTILES


def test_the_score_is_the_highest_logit_and_for_a_softmax_from_their_mean():
    logits = np.array([[3.0, 0.0, 0.0], [13.0, 10.0, 10.0], [0.0, 0.0, 0.0]])
    assert familiarity.scores(logits, False).tolist() == [2, 2, 0]  # a softmax takes the first two for the same
    assert familiarity.scores(logits, True).tolist() == [3, 13, 0]
    two = np.array([[0.0, 5.0], [0.0, -5.0]])  # a head of two labels, of which the first has logit 0
    assert familiarity.scores(two, False).tolist() == [2.5, 2.5]
    assert familiarity.scores(np.zeros((0, 3)), False).tolist() == []


def test_the_share_of_lines_that_are_as_strange():
    typical = familiarity.quantiles(np.arange(1001.0))
    assert (len(typical), typical[0], typical[-1], typical[10]) == (QUANTILES, 0, 1000, 50)
    shares = familiarity.shares(np.array([-1, 0, 50, 52.5, 1000, 2000]), typical)
    assert shares.tolist() == pytest.approx([0, 0, 0.05, 0.0525, 1, 1])
    assert np.isnan(familiarity.quantiles(np.zeros(0))).all()
    of_one_line = familiarity.quantiles(np.array([2.0]))
    assert familiarity.shares(np.array([1.0, 2.0]), of_one_line).tolist() == [0, 1]


def test_of_lines_like_the_others_about_the_share_is_left_out():
    random = np.random.default_rng(1)
    typical = familiarity.quantiles(random.normal(size=2000))
    assert (familiarity.shares(random.normal(size=4000), typical) < 0.05).mean() == pytest.approx(0.05, abs=0.015)

"""F1, calibration and thresholds, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textkit.tasks.classify.evaluation import measures

WANTED = np.array([0, 0, 1, 2, -1])
GIVEN = np.array([0, 1, 1, 1, 0])


def test_f1_of_each_label_and_their_mean():
    wanted, given = measures.one_hot(WANTED, 4), measures.one_hot(GIVEN, 4)
    found = measures.per_label(wanted, given)
    assert found.precision.tolist() == [0.5, pytest.approx(1 / 3), 0, 0]
    assert found.recall.tolist() == [0.5, 1, 0, 0]
    assert found.f1.tolist() == [0.5, 0.5, 0, 0]
    assert found.support.tolist() == [2, 1, 1, 0]
    assert measures.macro_f1(wanted, given) == pytest.approx(1 / 3)  # the fourth label is nowhere
    assert math.isnan(measures.macro_f1(wanted[:0], given[:0]))


def test_calibration_error_is_the_gap_weighted_by_lines():
    # Bin (0.6, 0.7]: two lines, half right, mean confidence .65; bin (0.9, 1]: one line, right, confidence 1.
    error = measures.calibration_error(np.array([0.62, 0.68, 1.0]), np.array([True, False, True]), bins=10)
    assert error == pytest.approx((2 * abs(0.5 - 0.65) + 0) / 3)
    assert measures.calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_softmax_and_sigmoid():
    assert measures.softmax(np.array([[0.0, math.log(3)]])).tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]
    assert measures.softmax(np.array([1e4, 0.0])).tolist() == [1, 0]
    assert measures.sigmoid(np.array([0.0, math.log(3), -1e4])).tolist() == [0.5, pytest.approx(0.75), 0]


def test_the_temperature_makes_the_data_likeliest():
    # 3 of 4 lines are right where the logits say log 9 to 0. Calibrated, they say log 3: the temperature is 2.
    logits = np.tile([math.log(9), 0.0], (4, 1))
    assert measures.temperature(logits, np.array([0, 0, 0, 1]), False) == pytest.approx(2, rel=2e-3)
    several = logits[:, :1]
    assert measures.temperature(several, np.array([[1], [1], [1], [0]]), True) == pytest.approx(2, rel=2e-3)
    assert measures.temperature(logits, np.array([-1, -1, -1, -1]), False) == 1  # nothing to learn from
    wanted = pytest.approx(math.log(9) / math.log(2), rel=2e-3)  # 1 of 1 is right: (1 + 1) / (1 + 2), log 2 to 0
    assert measures.temperature(logits[:1], np.array([0]), False) == wanted


def test_answers_that_are_all_right_are_not_certain():
    logits = np.tile([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]], (20, 1))
    share = measures.softmax(logits / measures.temperature(logits, np.array([0, 1] * 20), False)).max(1).mean()
    assert share == pytest.approx(41 / 42, abs=1e-3)
    wanted = np.tile([[True, False, False], [False, True, False]], (20, 1))
    scaled = np.array([[9.0, -9.0, -9.0], [-9.0, 9.0, -9.0]] * 20)
    share = measures.sigmoid(np.abs(scaled / measures.temperature(scaled, wanted, True))).mean()
    assert share == pytest.approx(121 / 122, abs=1e-3)


def test_a_threshold_is_where_f1_is_highest():
    probability = np.array([[0.9], [0.8], [0.7], [0.6], [0.3], [0.2], [0.1]])
    wanted = np.array([[1], [1], [1], [1], [1], [0], [0]], bool)
    assert measures.thresholds(probability, wanted).tolist() == [pytest.approx(0.25)]
    wanted = np.array([[1], [1], [1], [1], [0], [0], [1]], bool)  # the four: F1 = 8/9; all seven: 10/12
    assert measures.thresholds(probability, wanted).tolist() == [pytest.approx(0.45)]
    same = np.full((10, 1), 0.5)
    assert measures.thresholds(same, np.ones((10, 1), bool)).tolist() == [pytest.approx(0.25)]


def test_a_rare_label_takes_the_threshold_of_all():
    probability = np.column_stack([np.linspace(0.05, 0.95, 10), np.full(10, 0.01)])
    wanted = np.zeros((10, 2), bool)
    wanted[5:, 0] = True
    wanted[0, 1] = True
    own, shared = measures.thresholds(probability, wanted).tolist()
    assert own == pytest.approx(0.5)
    assert shared == pytest.approx(0.5)
    assert measures.thresholds(probability, np.zeros((10, 2), bool)).tolist() == [0.5, 0.5]

"""What came of the trials of a search: which is the best, which is hopeless, its size, the table, and what a budget is."""

from __future__ import annotations

import json

import pytest
import torch

from textkit.errors import UsageError
from textkit.plugin import Score
from textkit.text.words import Words
from textkit.training.tuning import trials
from textkit.training.tuning.trials import Point, Trial, alike, hopeless, ranked, seconds_of, table


def trial(number, value, *curve, higher=True, end="epochs", passes=10, **more):
    points = [Point(share, share * passes, figure) for share, figure in curve]
    return Trial(number, {}, {}, Score("figure", value, higher), points, end=end, **more)


def test_hopeless_is_further_behind_than_the_best_gained_from_there():
    best = trial(1, 0.9, (0.25, 0.7), (0.5, 0.85), (1.0, 0.9))
    assert not hopeless(trial(2, 0.65, (0.4, 0.65)), best)  # .05 behind, and the best gained .2 from a quarter on
    assert not hopeless(trial(2, 0.81, (0.5, 0.81)), best)  # .04 behind, .05 gained
    assert hopeless(trial(2, 0.79, (0.5, 0.79)), best)
    assert not hopeless(trial(2, 0.1, (0.2, 0.1)), best)  # the best had no score yet
    assert not hopeless(trial(2, 0.1, (1.0, 0.1)), best)  # it is at its end
    assert not hopeless(trial(2, 0.1, (0.5, 0.1)), None)
    # With half the passes: behind at the same share, but not after as many passes; and the other way around.
    assert not hopeless(trial(2, 0.6, (0.5, 0.6), passes=5), best)
    assert hopeless(trial(2, 0.3, (0.5, 0.3), passes=5), best)
    assert not hopeless(trial(2, 0.6, (0.25, 0.6), passes=20), best)
    lower = trial(1, 20.0, (0.5, 25.0), (1.0, 20.0), higher=False)
    assert hopeless(trial(2, 31.0, (0.5, 31.0), higher=False), lower)
    assert not hopeless(trial(2, 29.0, (0.5, 29.0), higher=False), lower)


def test_of_equal_scores_the_small_and_fast_one_is_kept():
    big = trial(1, 0.9, bytes=4_000_000, rate=1000.0)
    small = trial(2, 0.8995, bytes=1_000_000, rate=800.0)
    slow = trial(3, 0.9, bytes=2_000_000, rate=200.0)
    less = trial(4, 0.898, bytes=100, rate=1e6)
    assert [one.number for one in alike(ranked([big, small, slow, less]))] == [2, 1, 3]
    nan = trial(5, float("nan"))
    assert [one.number for one in ranked([nan, slow, trial(6, 1.0, end="worse"), big])] == [1, 3]
    assert [one.number for one in ranked([trial(1, 9.0, higher=False), trial(2, 3.0, higher=False)])] == [2, 1]


def test_the_estimate_counts_what_int8_stores():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(10, 6)  # 60 + 40
            self.weight = torch.nn.Embedding(10, 1)  # 40: a number a row
            self.filters = torch.nn.Conv1d(6, 3, 2)  # 4 * (36 + 3)
            self.out = torch.nn.Linear(6, 10)  # of the table, and 4 * 10 of the bias
            self.out.weight = self.table.weight

    class Made:
        vocabulary = Words(["one", "two"])

        def new_network(self):
            return Network()

    rule = Made.vocabulary
    files = sum(map(len, rule.files().values())) + len(json.dumps(rule.spec()))
    assert trials.estimated_bytes(Made()) == 100 + 40 + 156 + 40 + files + 20_000


def test_budgets():
    assert [seconds_of(text) for text in ("90s", "5m", "1h", "1.5h", " .5m", 12, 0.5)] == [
        90, 300, 3600, 5400, 30, 12, 0.5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "budget", ["", "5", "5 m", "-5m", "0s", "m", "1h30m", "5M", "1e3s", "99999999h", -1, 0, True, float("nan")]
)
def test_budgets_that_are_none(budget):
    with pytest.raises(UsageError, match="^--budget .*: must be a time above 0, such as 90s, 5m or 1h$"):
        seconds_of(budget)


def test_table_of_nothing_kept():
    failed = Trial(1, {}, {"dim": 3}, end="failed", error="no")
    assert table([failed], None).splitlines()[1] == "1\t\t\t\t\t\t0.0\t0\tfailed\tdim=3"

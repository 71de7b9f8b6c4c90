"""NT-ASGD (Merity et al. 2018): trigger and average by hand from the paper, what is kept, resuming, what it refuses."""

from __future__ import annotations

import math
import random

import pytest
import torch
from test_ema import Ramp
from test_trainer import Known, Unscored, data, finish, make, only  # noqa: F401 (fixtures)
from training_toys import Toy, ToyOwn

from textkit.errors import TextkitError, UsageError
from textkit.plugin import Score
from textkit.training.averaging import TriggeredAverage
from textkit.training.checkpoint import load_tensors
from textkit.training.events import Done, Scored, Stopped
from textkit.training.progress import sentence


def score(value, higher=False):
    return Score("points", value, higher)


def triggered_at(values, nonmono, higher=False):
    """Which of the scores, counted from 0, begins the average."""
    average = TriggeredAverage([("w", torch.nn.Parameter(torch.zeros(1)))], nonmono)
    for t, value in enumerate(values):
        average.heed(score(value, higher))
        if average.begun:
            return t
    return None


def test_the_trigger_by_hand():
    # n = 2. t = 3: logs[0..0] = 9, 8 is not above it. t = 4: min(9, 5) = 5 and 6 > 5.
    assert triggered_at([9, 5, 7, 8, 6, 1], 2) == 4
    # t > n: the third score, t = 2, is worse than the first but comes too early.
    assert triggered_at([5, 6, 7, 6], 2) == 3
    # A score that is better than the best before the last two triggers nothing, even if it is worse than the last.
    assert triggered_at([9, 8, 7, 5, 6, 5, 4], 2) is None
    assert triggered_at([5, 5, 5, 5, 5], 2) is None
    assert triggered_at([3, 4], 0) == 1
    assert triggered_at([-9, -5, -7, -8, -6, -1], 2, higher=True) == 4


def test_a_score_that_is_no_number_counts_as_none():
    assert triggered_at([5, math.nan, 6, math.nan, 7, 6], 2) == 5


@pytest.mark.parametrize("seed", range(5))
def test_the_trigger_is_that_of_the_authors_loop(seed):
    draw = random.Random(seed)
    values, n = [draw.gauss(10 - t / 10, 1) for t in range(60)], draw.randrange(1, 8)
    logs, expected = [], None
    for t, v in enumerate(values):  # algorithm 1
        if t > n and v > min(logs[: t - n]):
            expected = t
            break
        logs.append(v)
    assert expected is not None
    assert triggered_at(values, n) == expected


def test_the_average_by_hand():
    weight = torch.nn.Parameter(torch.tensor([100.0]))
    average = TriggeredAverage([("w", weight)], 0)
    average.update()
    with average.in_place():
        assert weight.item() == 100  # there is no average yet
    average.heed(score(1))
    with torch.no_grad():
        weight.fill_(4.0)
    average.heed(score(2))  # T: these weights are the first in the mean
    seen = []
    for value in (8.0, 3.0, 1.0):
        with torch.no_grad():
            weight.fill_(value)
        average.update()
        seen.append(average.values[0].item())
    # (4 + 8) / 2, (4 + 8 + 3) / 3, (4 + 8 + 3 + 1) / 4
    assert seen == pytest.approx([6.0, 5.0, 4.0])
    with average.in_place():
        assert weight.item() == pytest.approx(4.0)
    assert weight.item() == 1.0


class Climb(Ramp):
    """The weights after update n are n everywhere; the scores are given, and the scored weights are noted."""

    given = (5.0, 4.0, 6.0, 6.0, 3.0, 2.0, 9.0, 9.0, 9.0)

    def score(self, network, dev, vocabulary, config):
        scored.append(network.table.weight[0, 0].item())
        return score(self.given[len(scored) - 1]) if len(scored) <= len(self.given) else None


scored: list[float] = []


@pytest.fixture
def climb():
    scored.clear()
    return {"optimizer": "nt-asgd", "nonmono": 1, "learning_rate": 1.0, "max_steps": 6, "eval_steps": 1}


def test_from_the_trigger_on_the_mean_is_scored_and_kept(make, data, climb):  # noqa: F811
    run = make(Climb(), **climb)
    events = only(Scored, finish(run, data))
    # Updates 1, 2, 3: logs 5, 4, 6. At t = 2, 6 > min(5): T = 3, and the means are (3 + 4) / 2, (3 + 4 + 5) / 3, ...
    assert scored[:6] == pytest.approx([1, 2, 3, 3.5, 4, 4.5])
    assert [event.averaging for event in events] == [False, False, True, False, False, False]
    assert "the mean of the weights" in sentence(events[2], "")
    assert run.facts["dev_score"]["value"] == 2.0
    assert Known.open(run.folder).network().table.weight[0, 0].item() == pytest.approx(4.5)


def test_patience_begins_where_the_average_does(make, data, climb, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Climb, "given", (5.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0))
    done = only(Done, finish(make(Climb(), **{**climb, "nonmono": 2, "max_steps": 20, "patience": 2}), data))[0]
    # The fourth score begins the average; two more scores that are no better end the training.
    assert (done.reason, done.facts["steps"]) == ("patience", 6)


def test_an_update_of_several_batches_counts_once(make, data, climb):  # noqa: F811
    finish(make(Climb(), accumulate=3, **climb), data)
    assert scored[:6] == pytest.approx([1, 2, 3, 3.5, 4, 4.5])


@pytest.mark.parametrize("updates", [2, 5])
def test_the_network_of_a_checkpoint_is_what_is_kept(make, data, climb, updates):  # noqa: F811
    run = make(Climb(), **climb)
    finish(run, data, stop=iter([False] * (updates - 1) + [True]).__next__)
    run.weights.unlink()
    network = Known.open(run.folder).network()
    assert network.table.weight[0, 0].item() == pytest.approx({2: 2, 5: 4}[updates])
    assert bool(load_tensors(run.checkpoint, "learner.average.")[0]) == (updates == 5)


class Wavering(Toy):
    """Scores that depend on the weights and soon get worse."""

    def score(self, network, dev, vocabulary, config):
        return Score("size", float(network.table.weight.detach().square().sum()), higher_is_better=False)


def test_interrupted_anywhere_it_ends_with_the_same_bits(make, data):  # noqa: F811
    options = {"optimizer": "nt-asgd", "nonmono": 2, "learning_rate": 0.5, "momentum": 0.5, "accumulate": 2}
    options |= {"epochs": 4, "eval_steps": 3}
    whole = make(Wavering(), folder="whole", **options)
    events = finish(whole, data)
    assert sum(event.averaging for event in only(Scored, events)) == 1
    run = make(Wavering(), **options)
    draw = random.Random(5)
    parts, scores = 0, {}
    while not run.complete:
        parts += 1
        stop = iter([False] * draw.randrange(1, 12) + [True] * 1000).__next__
        some = finish(Known.open(run.folder), data, resume=True, stop=stop)
        scores |= {event.step: event for event in only(Scored, some)}
        run = Known.open(run.folder)
    assert parts > 5
    assert only(Stopped, some) == []
    assert list(scores.values()) == only(Scored, events)
    assert run.weights.read_bytes() == whole.weights.read_bytes()
    assert run.facts["loss"] == whole.facts["loss"]


def test_where_it_cannot_be_had_it_is_refused(make, data, climb):  # noqa: F811
    with pytest.raises(UsageError, match="optimizer=nt-asgd: toy has no dev score"):
        finish(make(Unscored(), folder="a", optimizer="nt-asgd"), data)
    with pytest.raises(UsageError, match=r"ema=0\.9: optimizer=nt-asgd averages the weights already"):
        finish(make(Toy(), folder="b", optimizer="nt-asgd", ema=0.9), data)
    with pytest.raises(UsageError, match="optimizer: has no effect on toy-own"):
        finish(make(ToyOwn(), folder="c", optimizer="nt-asgd"), data)
    with pytest.raises(UsageError, match="nonmono: has no effect on toy-own"):
        finish(make(ToyOwn(), folder="d", nonmono=3), data)
    with pytest.raises(UsageError, match="nonmono=-1: must be at least 0"):
        make(Toy(), folder="e", nonmono=-1)

    class Silent(Climb):
        given = ()

    with pytest.raises(TextkitError, match="optimizer=nt-asgd: the plugin gives no dev score"):
        finish(make(Silent(), folder="f", **climb), data)

"""The moving average of the weights: its formula by hand; it is scored, kept and exported, and survives an interruption."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import torch
from test_trainer import Known, Unscored, data, finish, make, only  # noqa: F401 (fixtures)
from training_toys import Toy, ToyOwn

from textkit.errors import UsageError
from textkit.plugin import Score
from textkit.training.averaging import Average
from textkit.training.checkpoint import load_tensors
from textkit.training.events import Done, Stopped


def test_the_formula_by_hand():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average([("w", weight)], 0.2)
    seen = []
    for value in (12.0, 3.0, 8.0):
        with torch.no_grad():
            weight.fill_(value)
        average.update()
        seen.append(average.values[0].item())
    # d = min(0.2, 2/11), min(0.2, 3/12), min(0.2, 4/13) = 2/11, 0.2, 0.2
    # 1 * 2/11 + 12 * 9/11 = 10; 10 * 0.2 + 3 * 0.8 = 4.4; 4.4 * 0.2 + 8 * 0.8 = 7.28
    assert seen == pytest.approx([10.0, 4.4, 7.28])


def test_in_place_and_back_to_the_bit():
    weight = torch.nn.Parameter(torch.tensor([0.1, 1e-30, -0.0]))
    average = Average([("w", weight)], 0.5)
    with torch.no_grad():
        weight.mul_(3)
    average.update()
    raw, mean, memory = weight.detach().clone(), average.values[0].clone(), weight.data_ptr()
    with suppress(KeyError), average.in_place():
        assert torch.equal(weight, mean)
        assert weight.data_ptr() == memory
        raise KeyError
    assert torch.equal(weight, raw)
    assert torch.equal(average.values[0], mean)


class Ramp(Toy):
    """Every number of the table starts at 0 and gains 1 per update: gradient -1, plain descent at rate 1."""

    def network(self, config, vocabulary):
        network = super().network(config, vocabulary)
        torch.nn.init.zeros_(network.table.weight)
        return network

    def loss(self, network, batch):
        raw.append(network.table.weight[0, 0].item())
        return -network.table.weight.sum(), {"examples": 1}

    def score(self, network, dev, vocabulary, config):
        scored.append(network.table.weight[0, 0].item())
        return Score("points", scored[-1], higher_is_better=True)


raw: list[float] = []
scored: list[float] = []


@pytest.fixture
def ramp():
    raw.clear()
    scored.clear()
    return {"optimizer": "sgd", "learning_rate": 1.0, "max_steps": 4, "eval_steps": 1, "ema": 0.25}


def averages(decay, updates):
    value, values = 0.0, []
    for n in range(1, updates + 1):
        d = min(decay, (1 + n) / (10 + n))
        value = d * value + (1 - d) * n
        values.append(value)
    return values


def test_the_average_is_scored_and_kept_and_the_training_goes_on_with_the_raw_ones(make, data, ramp):  # noqa: F811
    run = make(Ramp(), **ramp)
    finish(run, data)
    expected = averages(0.25, 4)
    assert expected[:2] == pytest.approx([9 / 11, 0.25 * 9 / 11 + 0.75 * 2])
    assert raw == [0.0, 1.0, 2.0, 3.0]
    assert scored[:4] == pytest.approx(expected)
    assert scored[4] == pytest.approx(expected[-1])  # the test lines, with the kept weights
    assert Known.open(run.folder).network().table.weight[0, 0].item() == pytest.approx(expected[-1])
    assert run.facts["dev_score"]["value"] == pytest.approx(expected[-1])


def test_an_update_of_several_batches_counts_once(make, data, ramp):  # noqa: F811
    run = make(Ramp(), accumulate=3, **ramp)
    finish(run, data)
    assert scored[:4] == pytest.approx(averages(0.25, 4))
    assert raw[:6] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


class RampUnscored(Ramp):
    score = Unscored.score


def test_without_a_dev_score_the_average_is_kept(make, data, ramp):  # noqa: F811
    del ramp["eval_steps"]
    run = make(RampUnscored(), **ramp)
    finish(run, data)
    assert Known.open(run.folder).network().table.weight[0, 0].item() == pytest.approx(averages(0.25, 4)[-1])


def test_the_network_of_a_checkpoint_is_the_average_tied_weights_too(make, data, ramp):  # noqa: F811
    del ramp["eval_steps"]
    run = make(RampUnscored(), **ramp)
    finish(run, data, stop=iter([False, True]).__next__)
    network = Known.open(run.folder).network()
    assert network.table.weight[0, 0].item() == pytest.approx(averages(0.25, 2)[-1])
    assert network.out.weight is network.table.weight


def test_it_costs_nothing_of_what_is_learnt(make, data):  # noqa: F811
    """The raw weights take the same path with the average and without."""
    ends = []
    for decay in (0.0, 0.9):
        run = make(Unscored(), folder=f"run{decay}", epochs=2, ema=decay, checkpoint_steps=50)
        finish(run, data, stop=iter([False] * 30 + [True]).__next__)
        ends.append(load_tensors(run.checkpoint, "network.")[0]["network.table.weight"])
    assert torch.equal(*ends)


@pytest.mark.parametrize("plugin", [Toy(), Unscored()])
def test_interrupted_anywhere_it_ends_with_the_same_bits(make, data, plugin):  # noqa: F811
    options = {"ema": 0.95, "accumulate": 2, "epochs": 3, "optimizer": "adam"}
    whole = make(plugin, folder="whole", **options)
    events = finish(whole, data)
    run = make(plugin, **options)
    draw = random.Random(5)
    parts = 0
    while not run.complete:
        parts += 1
        stop = iter([False] * draw.randrange(1, 12) + [True] * 1000).__next__
        some = finish(Known.open(run.folder), data, resume=True, stop=stop)
        run = Known.open(run.folder)
    assert parts > 3
    assert only(Stopped, some) == []
    assert run.weights.read_bytes() == whole.weights.read_bytes()
    assert run.facts["loss"] == only(Done, events)[0].facts["loss"]


def test_where_it_cannot_be_had_it_is_refused(make, data):  # noqa: F811
    with pytest.raises(UsageError, match="ema: has no effect on toy-own"):
        finish(make(ToyOwn(), ema=0.9), data)
    with pytest.raises(UsageError, match=r"ema=1\.0: must be below 1"):
        make(Toy(), folder="b", ema=1.0)

"""Gradients that are summed over the processes during the backward pass: which are sent when, and what comes of them."""

from types import SimpleNamespace

import pytest
import torch

from textkit.plugin import Epoch, Training
from textkit.training.descent import Descent
from textkit.training.distributed.overlapping import Overlap
from textkit.training.distributed.parallel import Alone


class Twin(Alone):
    """Of two processes the first; the other has the gradients `theirs`, by the number of tensors that were sent before."""

    size, alone = 2, False

    def __init__(self, theirs=None):
        self.sent, self.theirs = [], theirs

    def start_adding_up(self, tensor):
        self.sent.append(tensor.clone())
        tensor += tensor if self.theirs is None else self.theirs[len(self.sent) - 1]
        return lambda: None

    def add_up(self, figures):
        return [2 * figure for figure in figures]


def layers(*sizes):
    torch.manual_seed(1)
    return torch.nn.ModuleList(torch.nn.Linear(size, 1, bias=False) for size in sizes)


def test_a_bucket_is_sent_when_its_gradients_are_there_and_not_before():
    """The last layer's goes on its way before the backward pass has come to the first layer."""
    first, last = layers(2, 1)
    team = Twin()
    parameters = [first.weight, last.weight]
    overlap = Overlap(parameters, team, size=8)
    assert [[len(tensor.flatten()) for tensor in bucket] for bucket in overlap.buckets] == [[1], [2]]
    there = []
    first.weight.register_hook(lambda gradient: there.append(len(team.sent)))
    overlap.watch()
    last(first(torch.tensor([[3.0, 5.0]]))).sum().backward()
    assert there == [1]  # what had been sent when the first layer's gradient came
    assert len(team.sent) == 2
    w, x = last.weight.item(), first.weight.detach().flatten()
    hidden = float(3 * x[0] + 5 * x[1])
    assert team.sent[0].tolist() == pytest.approx([hidden])
    assert team.sent[1].tolist() == pytest.approx([3 * w, 5 * w])
    overlap.finish()
    assert first.weight.grad.flatten().tolist() == pytest.approx([6 * w, 10 * w])
    assert last.weight.grad.item() == pytest.approx(2 * hidden)


def test_nothing_is_sent_before_the_last_batch_of_a_group():
    (layer,) = layers(1)
    team = Twin()
    overlap = Overlap([layer.weight], team)
    layer(torch.ones(1, 1)).sum().backward()
    assert team.sent == []
    overlap.watch()
    layer(torch.ones(1, 1)).sum().backward()
    assert [sent.tolist() for sent in team.sent] == [[2.0]]  # both batches'
    overlap.finish()
    assert layer.weight.grad.item() == 4
    assert len(team.sent) == 1


def test_what_a_process_has_no_gradient_for_counts_as_zero():
    """The buckets go in their order all the same: behind one that waits for a gradient, all wait."""
    first, unused, last = layers(1, 1, 1)
    parameters = [first.weight, unused.weight, last.weight]
    team = Twin(theirs=[torch.tensor([10.0]), torch.tensor([20.0]), torch.tensor([30.0])])
    overlap = Overlap(parameters, team, size=4)
    overlap.watch()
    (first(torch.ones(1, 1)) + last(torch.ones(1, 1))).sum().backward()
    assert len(team.sent) == 1
    overlap.finish()
    assert [sent.item() for sent in team.sent] == [1, 0, 1]
    assert [parameter.grad.item() for parameter in parameters] == [31, 20, 11]


class Two:
    """A family whose loss uses one of two layers."""

    name = "two"

    def loss(self, network, batch):
        return network.used(batch).square().mean(), {"weight": len(batch), "examples": len(batch)}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_what_no_process_has_a_gradient_for_does_not_move(accumulate):
    """Momentum would move a parameter whose gradient is zero."""

    def descent(team, accumulate):
        torch.manual_seed(3)
        network = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 1), "unused": torch.nn.Linear(2, 1)})
        training = Training(optimizer="adamw", weight_decay=0.5, accumulate=accumulate, learning_rate=0.1)
        return Descent(Two(), network, training, torch.device("cpu"), team)

    def learn(learner, copies):
        torch.manual_seed(5)
        batches = [torch.randn(4, 2) for _ in range(2 * accumulate)]
        updated = []
        for batch in batches:
            for _ in range(copies):  # two processes with the same batches are one that has each of them twice
                updated.append(learner.learn(batch, 0.1).updated)
        return {name: value.detach().clone() for name, value in learner.network.named_parameters()}, sum(updated)

    before = dict(descent(Twin(), accumulate).network.named_parameters())
    team, steps = learn(descent(Twin(), accumulate), 2)
    alone, same = learn(descent(Alone(), accumulate), 1)
    assert steps == same == 2
    for name, value in alone.items():
        torch.testing.assert_close(team[name], value)
        assert torch.equal(value, before[name]) == ("unused" in name)


def test_the_last_group_of_an_epoch_may_leave_a_process_without_a_batch():
    """Then it sends zeros, in the same order."""
    team = Twin(theirs=[torch.tensor([1.0, 2.0, 3.0]), torch.zeros(1)])  # gradients; the loss
    network = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 1)})
    learner = Descent(Two(), network, Training(optimizer="sgd"), torch.device("cpu"), team)
    learner.team.add_up = lambda figures: [4.0, 4, 4, 1, 1]
    before = network["used"].bias.item()
    learner.update(1.0)
    assert [sent.tolist() for sent in team.sent[:1]] == [[0, 0, 0]]
    assert network["used"].bias.item() == pytest.approx(before - 1 / 4)  # the bias comes first: its sum over the weight


def test_whose_a_batch_is():
    whole = Epoch(0, 1, start=5)
    assert all(whole.owns(number) for number in range(5, 9))
    one, other = (Epoch(0, 1, start=5, processes=2, turn=turn) for turn in (0, 1))
    assert [one.owns(number) for number in range(5, 9)] == [True, False, True, False]
    assert [other.owns(number) for number in range(5, 9)] == [False, True, False, True]


@pytest.mark.parametrize(("rank", "done", "wanted"), [(0, 0, 0), (1, 0, 1), (0, 1, 2), (2, 1, 1), (1, 5, 2)])
def test_the_turn_goes_on_where_the_group_stands(monkeypatch, rank, done, wanted):
    """Three processes; `done` batches of the group were learnt from before the training was interrupted."""
    from textkit.training.feeding import Feed

    team = Alone()
    team.rank, team.size, team.alone = rank, 3, False
    feed = Feed(SimpleNamespace(plugin=None), None, 4, torch.device("cpu"), team)
    seen = []
    monkeypatch.setattr(feed, "batches", lambda number, start, turn: seen.append(turn))
    feed.to_learn(SimpleNamespace(epoch=0, batch=7), done)
    assert seen == [wanted]
    place = next(place for place in range(3) if team.owns(done + place))
    assert place == wanted

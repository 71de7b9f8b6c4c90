"""Batches of a GPU: they grow as long as that pays, and are halved where memory is short."""

import numpy as np
import pytest

from textkit.serving import budget
from textkit.serving.budget import Budget
from textkit.serving.session import NoDeviceMemory, failure


class Clock:
    """A clock that stands still but for what a batch takes."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(budget.time, "perf_counter", lambda: self.now)

    def __call__(self, batch):
        self.now += self.seconds(len(batch))


def grown(monkeypatch, seconds, batches=40) -> int:
    held = Budget(1000, grows=True)
    run = Clock(monkeypatch, seconds)
    for _ in range(batches):
        held.run(run, np.zeros(held.tokens), held.tokens)
    return held.tokens


def test_batches_grow_while_tokens_become_quicker(monkeypatch):
    # A device that computes 8,000 tokens in the time of one: beyond that, twice the tokens take twice the time.
    assert grown(monkeypatch, lambda count: max(1.0, count / 8000)) == 16_000
    assert grown(monkeypatch, lambda count: 1.0) == 256_000  # up to the most
    assert grown(monkeypatch, lambda count: count / 1000) == 2000


def test_a_batch_that_is_not_full_says_nothing(monkeypatch):
    held = Budget(1000, grows=True)
    run = Clock(monkeypatch, lambda count: 1.0)
    for _ in range(10):
        held.run(run, np.zeros(500), 500)
    assert held.tokens == 1000


def test_a_fixed_budget_stays(monkeypatch):
    held = Budget(1000)
    run = Clock(monkeypatch, lambda count: 1.0)
    for _ in range(10):
        held.run(run, np.zeros(1000), 1000)
    assert held.tokens == 1000


def test_halves_are_run_in_order_and_the_budget_stays_small():
    held, done = Budget(1000, grows=True), []

    def run(batch):
        if len(batch) > 3:
            raise NoDeviceMemory("none")
        done.append(batch.tolist())

    held.keeping(run, np.full(10, 100))(np.arange(10))
    assert done == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
    assert held.tokens == 250
    held.run(run, np.arange(2), 250)
    assert held.tokens == 250


def test_a_single_line_that_does_not_fit_is_an_error():
    def run(batch):
        raise NoDeviceMemory("none")

    with pytest.raises(NoDeviceMemory):
        Budget(10).run(run, np.arange(2), 10)


@pytest.mark.parametrize(
    "said", ["Failed to allocate memory for requested buffer of size 9", "CUDA failure 2: out of memory"]
)
def test_which_failures_are_a_gpu_s_memory(said):
    assert isinstance(failure(RuntimeError(said), "cuda:0"), NoDeviceMemory)
    assert not isinstance(failure(RuntimeError(said)), NoDeviceMemory)
    assert not isinstance(failure(RuntimeError("a shape is wrong"), "cuda:0"), NoDeviceMemory)

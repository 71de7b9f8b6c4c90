"""Batches made ahead on a thread: the same ones in the same order, what fails, and what is left behind."""

import threading
import time

import pytest
import torch

from textkit.corpora.batching import each_tensor, move
from textkit.training.prefetching import AHEAD, ahead

CPU = torch.device("cpu")


def threads():
    return sum(thread.name == "batches" for thread in threading.enumerate())


def numbers(count, seen=None):
    for number in range(count):
        if seen is not None:
            seen.append(number)
        yield number


def test_the_same_batches_in_the_same_order():
    assert list(ahead(numbers(50), CPU, pinned=False)) == list(range(50))
    assert threads() == 0


def test_no_more_than_some_are_made_before_they_are_wanted():
    seen = []
    batches = ahead(numbers(50, seen), CPU, pinned=False)
    assert next(batches) == 0
    deadline = time.monotonic() + 10
    while len(seen) < AHEAD + 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(seen) == AHEAD + 2  # the one taken, those that wait, and the one that has no room yet
    batches.close()
    assert threads() == 0
    assert len(seen) == AHEAD + 2


def test_an_error_comes_where_its_batch_would_have_come():
    def failing():
        yield 1
        yield 2
        raise ValueError("the third")

    batches = ahead(failing(), CPU, pinned=False)
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(batches)
    assert threads() == 0


def test_what_made_them_is_closed_too():
    closed = []

    def watched():
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread().name)

    batches = ahead(watched(), CPU, pinned=False)
    next(batches)
    batches.close()
    assert closed == ["batches"]


def test_every_tensor_is_changed_and_nothing_else():
    from typing import NamedTuple

    class Pair(NamedTuple):
        left: torch.Tensor
        count: int

    batch = {"a": [torch.ones(2), "text"], "b": Pair(torch.ones(1), 3), "c": None}
    doubled = each_tensor(batch, lambda tensor: 2 * tensor)
    assert doubled["a"][0].tolist() == [2, 2]
    assert doubled["a"][1] == "text"
    assert isinstance(doubled["b"], Pair)
    assert (doubled["b"].left.tolist(), doubled["b"].count, doubled["c"]) == ([2], 3, None)
    assert move(batch, CPU) is batch
    there = move(batch, torch.device("meta"))
    assert there["b"].left.device.type == there["a"][0].device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_they_wait_in_page_locked_memory():
    (batch,) = ahead(((torch.ones(3),) for _ in range(1)), torch.device("cuda"))
    assert batch[0].is_pinned()
    assert move(batch, torch.device("cuda"))[0].tolist() == [1, 1, 1]

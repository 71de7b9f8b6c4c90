"""Runs a window's lines in batches: one after the other where each is quick, otherwise several at a time. Knows no graph."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from textkit.serving.budget import Budget
from textkit.serving.machine import cpus, on_cpu
from textkit.serving.stream import batches

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Seconds that a batch must take for threads to pay off. A batch with a table of vectors takes 0.5 ms, and two threads that
# pass Python's lock to and fro are then slower than one.
HEAVY = 0.005
UNDER_WAY = 3  # batches on a GPU: one that it computes, one that is made ready, one whose results are read
# Searches of a translator on CPUs, each by one thread or a few: a step of some rows is too short to be shared. More searches
# would wait for Python's lock. Measured in docs/benchmarks.md ("One thread or two for a search").
SIDE_BY_SIDE = 4


def searches(workers: int | None, threads: int | None, device: str) -> int:
    """How many batches are searched at a time, where the user may have asked for `workers`, and `threads` CPUs compute."""
    if workers:
        return workers
    return min(threads or cpus(), SIDE_BY_SIDE) if on_cpu(device) else UNDER_WAY


def threads_of_each(threads: int | None, workers: int | None, device: str) -> int:
    """How many threads compute a graph where the searches of `searches` share `threads`."""
    return max(1, (threads or cpus()) // searches(workers, threads, device))


class Workers:
    """Threads that share the batches of a window. They are started when the first heavy batch comes. Cannot be pickled."""

    def __init__(self, threads: int, on_cpu: bool, under_way: int = UNDER_WAY) -> None:
        """`on_cpu`: whether `threads` CPUs run the batches; otherwise one GPU does, whose batches are made ready by
        `under_way` threads."""
        self._threads, self._on_cpu = threads if on_cpu else under_way, on_cpu
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()  # two windows may be answered at a time

    def spread(
        self, run: Callable[[np.ndarray], None], lengths: np.ndarray, budget: Budget, most: int = sys.maxsize
    ) -> None:
        """Runs batches of lines of these `lengths` in tokens, given their numbers i64[line]: several at a time on a GPU and, if
        they are heavy, on CPUs. `most`: padded tokens that no batch exceeds, whatever the budget is."""
        waiting = deque(batches(lengths, min(budget.tokens, most)))
        if self._on_cpu:
            while waiting:
                begun = time.perf_counter()
                run(waiting.popleft())
                if time.perf_counter() - begun > HEAVY and self._threads > 1:
                    break
        else:
            run = budget.keeping(run, lengths)
        self.each(run, waiting)

    def each(self, run: Callable[[np.ndarray], None], waiting: Collection[np.ndarray]) -> None:
        """Runs the batches that are waiting, each of them by one thread."""
        if len(waiting) < 2 or self._threads < 2:
            for batch in waiting:
                run(batch)
            return
        with self._starting:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor  # imports logging, for nothing where a batch is quick

                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="textkit-batch")
        for _ in self._pool.map(run, waiting):
            pass

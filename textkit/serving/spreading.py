"""Runs the batches of a window: one after the other where each is quick, otherwise several at a time. Knows no graph."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Seconds that a batch must take for threads to pay off. A batch with a table of vectors takes 0.5 ms, and two threads that
# pass Python's lock to and fro are then slower than one.
HEAVY = 0.005
UNDER_WAY = 3  # batches on a GPU: one that it computes, one that is made ready, one whose results are read


class Workers:
    """Threads that share the batches of a window. They are started when the first heavy batch comes. Cannot be pickled."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def spread(self, run: Callable[[np.ndarray], None], work: Iterable[np.ndarray], on_cpu: bool) -> None:
        """Runs each batch of `work`; several at a time if they are heavy and run `on_cpu`, or on a GPU, which computes one
        while others are made ready."""
        if not on_cpu:
            self._spread_on_gpu(run, list(work))
            return
        waiting = deque(work)
        while waiting:
            begun = time.perf_counter()
            run(waiting.popleft())
            if time.perf_counter() - begun > HEAVY and self._threads > 1:
                break
        if self._pool is None and waiting:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="textkit-batch")
        for _ in self._pool.map(run, waiting) if self._pool and waiting else ():
            pass

    def _spread_on_gpu(self, run: Callable[[np.ndarray], None], work: list[np.ndarray]) -> None:
        if len(work) < 2:
            for batch in work:
                run(batch)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="textkit-batch")
        for _ in self._pool.map(run, work):
            pass

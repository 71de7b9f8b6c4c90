"""How large a batch is: a constant on a CPU, whose caches are known; on a GPU found by trying. Knows no graph.

A GPU's memory and speed are known to nobody beforehand. So batches grow as long as that makes tokens quicker, and a batch that
the memory does not hold is run in halves, after which no batch is as large again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from textkit.serving.session import NoDeviceMemory

MOST = 1 << 18  # padded tokens
_GAIN = 1.1  # how much quicker tokens must become for batches to grow on
_FULL = 0.75  # of the budget; smaller batches say nothing of it
_TRIES = 2  # full batches of one size, the quicker of which counts


class Budget:
    """The most padded tokens of a batch, `tokens`. Several threads may use one."""

    def __init__(self, tokens: int, grows: bool = False) -> None:
        """`grows`: whether it is found by trying, beginning with `tokens`."""
        self.tokens = tokens
        self._most = MOST if grows else tokens
        self._grows = grows
        self._before = 0.0  # tokens per second with half of the budget
        self._tried: list[float] = []
        self._lock = threading.Lock()

    def keeping(self, run: Callable[[np.ndarray], None], lengths: np.ndarray) -> Callable[[np.ndarray], None]:
        """`run` for batches of lines of these `lengths`, as the method `run` runs them."""
        return lambda batch: self.run(run, batch, len(batch) * int(lengths[batch].max(initial=1)))

    def run(self, run: Callable[[np.ndarray], None], batch: np.ndarray, tokens: int) -> None:
        """Runs a batch of so many padded tokens; in halves, one after the other, where a GPU's memory is short.

        Raises NoDeviceMemory where a single line does not fit.
        """
        begun = time.perf_counter()
        try:
            run(batch)
        except NoDeviceMemory:
            if len(batch) < 2:
                raise
            with self._lock:  # nothing as large as this will be tried again
                self._most = min(self._most, max(1, tokens // 2))
                self.tokens, self._grows = min(self.tokens, self._most), False
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                self.run(run, half, tokens // 2)
            return
        if self._grows and tokens >= _FULL * self.tokens:
            self._took(tokens / max(1e-9, time.perf_counter() - begun))

    def _took(self, rate: float) -> None:
        with self._lock:
            self._tried.append(rate)
            if len(self._tried) < _TRIES:
                return
            best, self._tried = max(self._tried), []
            if best < _GAIN * self._before or 2 * self.tokens > self._most:
                self._grows = False
            else:
                self._before, self.tokens = best, 2 * self.tokens

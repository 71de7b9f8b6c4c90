"""The random numbers of the kernels, and noise words drawn by Walker's alias method. Knows no vector.

numba's cache of compiled kernels watches the file that a kernel is in, not this one: after a change here, touch kernels.py.
"""

from __future__ import annotations

import numpy as np

from textkit_plugins.embeddings.compiled import njit

OPTIONS = {"cache": True, "nogil": True, "fastmath": True, "boundscheck": False, "error_model": "numpy"}
MIX = np.uint64(0x2545F4914F6CDD1D)


@njit(inline="always")
def following(state):
    """The next state of xorshift64* (Vigna 2016). The state times MIX is the random number."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state


@njit(inline="always")
def _seeded(seed):
    """A state from any seed by one round of splitmix64, so that neighbouring seeds give unrelated streams."""
    z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)


@njit(inline="always")
def unit(number):
    """A float32 in [0, 1) from the low 24 bits."""
    return np.float32(number & np.uint64(0xFFFFFF)) * np.float32(1 / 16777216.0)


@njit(inline="always")
def state_at(seed, at):
    """The state with which the word at position `at` begins, from splitmix64's stream."""
    return _seeded(np.uint64(seed) + np.uint64(at) * np.uint64(0x9E3779B97F4A7C15))


@njit(**OPTIONS)
def draw(threshold, alias, state, out, first, last):
    """Draws negatives out[first:last] from the noise distribution by Walker's alias method: two reads each at any size."""
    words = np.uint64(threshold.shape[0])
    for k in range(first, last):
        state = following(state)
        number = state * MIX
        slot = np.int64(((number >> np.uint64(32)) * words) >> np.uint64(32))
        out[k] = slot if unit(number) < threshold[slot] else alias[slot]
    return state


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(threshold f32[n], alias i32[n]) to draw i with probability weights[i] / sum, by Walker's alias method (Vose 1991).

    weights: f64[n], none negative, not all zero.
    """
    weights = np.ascontiguousarray(weights, np.float64)
    return _alias(weights * (len(weights) / weights.sum()))


@njit(cache=True)
def _alias(share):
    n = share.shape[0]
    threshold = np.ones(n, np.float32)
    alias = np.arange(n).astype(np.int32)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    lows, highs = 0, 0
    for i in range(n):
        if share[i] < 1:
            small[lows] = i
            lows += 1
        else:
            large[highs] = i
            highs += 1
    while lows and highs:
        lows -= 1
        low, high = small[lows], large[highs - 1]
        threshold[low] = share[low]
        alias[low] = high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            highs -= 1
            small[lows] = high
            lows += 1
    return threshold, alias

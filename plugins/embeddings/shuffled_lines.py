"""An encoded corpus with its lines in random order, another one each epoch, from a file that may be larger than memory.

Neighbouring lines are about the same things: read in order, a model leans to what it read last. Knows no network; numpy
only. Lines are shuffled among a window of _WINDOW words, and the windows too; a line of more than _LONGEST words is
shuffled in pieces, so that a corpus without line ends is not left in order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from textkit_plugins.embeddings.vocabulary import LINE_END

_WINDOW = 1 << 24  # words held, 64 MB; shuffling takes five times as much
_LONGEST = 1000  # words of a piece; kernels.SENTENCE is as long


def count_batches(tokens: np.ndarray, size: int) -> int:
    """How many batches of at most `size` words and line ends `batches` cuts `tokens` i32[token] into."""
    total = 0
    for start in range(0, len(tokens), _WINDOW):
        words, lengths = _pieces(tokens[start : start + _WINDOW])[1:]
        total += -(-(words + len(lengths)) // size)
    return total


def batches(tokens: np.ndarray, size: int, seed: tuple[int, ...], first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """(number, i32[token]) of every batch from number `first` on, LINE_END after each line; the same for the same seed.

    A line may go on in the next batch.
    """
    order = np.random.default_rng(seed).permutation(-(-len(tokens) // _WINDOW))
    number = 0
    for window in order.tolist():
        part = np.array(tokens[window * _WINDOW : (window + 1) * _WINDOW])
        shuffled = _shuffled(part, np.random.default_rng([*seed, window]))
        for start in range(0, len(shuffled), size):
            if number >= first:
                yield number, shuffled[start : start + size]
            number += 1


def _pieces(tokens: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Where each piece begins i64[piece], the words in all, and the words of each piece i64[piece]."""
    ends = np.flatnonzero(tokens == LINE_END)
    if not len(ends) or ends[-1] != len(tokens) - 1:
        ends = np.append(ends, len(tokens))  # the window ends inside a line
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    count = -(-lengths // _LONGEST)  # pieces of each line
    if count.max(initial=1) > 1:
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)  # of a piece in its line
        starts = np.repeat(starts, count) + place * _LONGEST
        lengths = np.minimum(np.repeat(lengths, count) - place * _LONGEST, _LONGEST)
    return starts, int(lengths.sum()), lengths


def _shuffled(tokens: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The pieces of `tokens` in random order, i32[words + pieces]."""
    starts, words, lengths = _pieces(tokens)
    order = random.permutation(len(starts))
    starts, lengths = starts[order], lengths[order]
    laid = np.full(words + len(lengths), LINE_END, np.int32)
    ends = np.cumsum(lengths + 1)
    inside = np.ones(len(laid), bool)
    inside[ends - 1] = False
    first = ends - 1 - lengths  # where each piece begins in what is laid
    laid[inside] = tokens[np.flatnonzero(inside) + np.repeat(starts - first, lengths)]
    return laid

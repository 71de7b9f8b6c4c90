"""An encoded corpus with its lines in a new random order each epoch, from a file that may be larger than memory.

Neighbouring lines are about the same things, so a model that read them in order would lean towards what it read last. Lines
are shuffled within a window of _WINDOW words, and the windows are shuffled too. A line of more than _LONGEST words is
shuffled in pieces, so that a corpus without line ends does not stay in order. Knows no network; numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from textkit_plugins.embeddings.vocabulary import LINE_END

_WINDOW = 1 << 24  # words in memory, 64 MB; shuffling needs five times as much
_LONGEST = 1000  # words in a piece, as many as kernels.SENTENCE


@dataclass(frozen=True)
class WordBatch:
    """A batch: the words at first..last - 1 of `tokens`, which holds the whole lines that they stand in.

    `number`: of the batch in its epoch. `tokens` begins at position `offset` of the shuffled window number `window`. What is
    drawn for a word follows from its position there, whichever batch it comes in.
    """

    tokens: np.ndarray  # i32[token], LINE_END after each line
    first: int
    last: int
    number: int
    window: int
    offset: int


def count_batches(tokens: np.ndarray, size: int) -> int:
    """How many batches of at most `size` words `batches` cuts `tokens` i32[token] into."""
    return sum(
        -(-_pieces(tokens[start : start + _WINDOW])[1] // size) for start in range(0, len(tokens), _WINDOW)
    )  # fmt: skip


def batches(tokens: np.ndarray, size: int, seed: tuple[int, ...], begin: int = 0) -> Iterator[WordBatch]:
    """Every batch from number `begin` on, the same for the same seed. All but the last of each window have `size` words."""
    order = np.random.default_rng(seed).permutation(-(-len(tokens) // _WINDOW))
    number = 0
    for window in order.tolist():
        part = np.array(tokens[window * _WINDOW : (window + 1) * _WINDOW])
        words = _pieces(part)[1]
        count = -(-words // size)
        if number + count > begin:
            shuffled, before = _shuffled(part, np.random.default_rng([*seed, window]))
            for at in range(max(begin - number, 0), count):
                # Line i begins after the words of the lines before it and i line ends.
                one, two = at * size, min((at + 1) * size, words)
                line, final = (np.searchsorted(before, [one, two - 1], side="right") - 1).tolist()
                offset, end = int(before[line]) + line, int(before[final + 1]) + final + 1
                yield WordBatch(
                    shuffled[offset:end], one + line - offset, two + final - offset, number + at, window, offset
                )
        number += count


def _pieces(tokens: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Where each piece begins i64[piece], the number of words in all, and the number of words in each piece i64[piece]."""
    ends = np.flatnonzero(tokens == LINE_END)
    if not len(ends) or ends[-1] != len(tokens) - 1:
        ends = np.append(ends, len(tokens))  # the window ends inside a line
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    count = -(-lengths // _LONGEST)  # pieces of each line
    if count.max(initial=1) > 1:
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)  # number of each piece in its line
        starts = np.repeat(starts, count) + place * _LONGEST
        lengths = np.minimum(np.repeat(lengths, count) - place * _LONGEST, _LONGEST)
    return starts, int(lengths.sum()), lengths


def _shuffled(tokens: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of `tokens` in random order, i32[words + pieces], and how many words precede each, i64[piece + 1].

    The last entry of the second array is the number of words in all.
    """
    starts, words, lengths = _pieces(tokens)
    order = random.permutation(len(starts))
    starts, lengths = starts[order], lengths[order]
    laid = np.full(words + len(lengths), LINE_END, np.int32)
    ends = np.cumsum(lengths + 1)
    inside = np.ones(len(laid), bool)
    inside[ends - 1] = False
    first = ends - 1 - lengths  # where each piece begins in what is laid
    laid[inside] = tokens[np.flatnonzero(inside) + np.repeat(starts - first, lengths)]
    return laid, np.concatenate([[0], np.cumsum(lengths)])

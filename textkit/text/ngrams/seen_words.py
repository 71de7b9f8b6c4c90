"""Numbers the words of lines, so that what is computed of a word is computed once. Knows no rows and no model; numpy only.

Half of a text's words are among its hundred commonest (Zipf 1935). A word is told from others by 64 bits: a polynomial of its
characters with a factor that is drawn anew in each process, so that no text can be made to confuse two words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from textkit.text.ngrams import hashing
from textkit.text.ngrams.hashing import END, SPACE, LaidOut

MOST = 1 << 17  # words that are remembered
LONGEST = 64  # characters of such a word: longer ones are rare, and of 1,024 a factor may be unlucky
AT_ONCE = 1 << 16  # characters, in which there are no more words than half of those remembered
_PLACES_BITS = 19  # four places for each word
_SALT = np.uint64(hashing.SALT)


class Numbered(NamedTuple):
    """Some lines. numbers i64[word]: the number of each word; counts i64[line]: how many words each line has; new: the words
    that were not remembered, each as a line, and fresh i64[new word], the number of each, which another word may have had."""

    numbers: np.ndarray
    counts: np.ndarray
    new: LaidOut
    fresh: np.ndarray


class SeenWords:
    """Words by number, below MOST. When so many were seen, all are forgotten. For one thread at a time."""

    def __init__(self) -> None:
        self._factor = int.from_bytes(os.urandom(8), "little") | 1  # odd, so that it has an inverse modulo 2^64
        self._powers = self._inverses = np.empty(0, np.uint64)
        self._keys = np.zeros(1 << _PLACES_BITS, np.uint64)  # 0: a free place
        self._numbers = np.zeros(1 << _PLACES_BITS, np.int32)
        self._used = 0

    def look(self, given: np.ndarray, kind: np.ndarray) -> Numbered:
        """Lines with "\\n" behind each, of at most AT_ONCE characters in all. `given` u32[character], `kind` u8[character]:
        GAP, WORD or IN_WORD, as for hashing.laid_out, which cuts words alike."""
        told, border = hashing.told_apart(kind)
        begins, lasts = told.copy(), told.copy()
        begins[1:] &= border
        lasts[:-1] &= border
        starts, stops = np.flatnonzero(begins), np.flatnonzero(lasts) + 1
        counts = np.searchsorted(starts, np.flatnonzero(given == END))
        counts[1:] -= counts[:-1].copy()
        keys = self._keys_of(given, starts, stops)
        numbers = self._found(keys)
        new = np.flatnonzero(numbers < 0)
        first, which = _distinct(keys[new])
        if self._used + len(first) > MOST:
            self._keys[:] = 0
            self._used = 0
            new = np.arange(len(keys))
            first, which = _distinct(keys)
        fresh = np.arange(self._used, self._used + len(first))
        self._used += len(first)
        numbers[new] = fresh[which]
        of = new[first]
        short = stops[of] - starts[of] <= LONGEST
        self._remember(keys[of[short]], fresh[short])
        return Numbered(numbers, counts, _as_lines(given, starts[of], stops[of]), fresh)

    def _keys_of(self, given: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """The 64 bits that tell each word from others, never 0; those of a long word tell it from all others here, too."""
        size = len(given)
        if len(self._powers) < size:
            most = max(size, AT_ONCE)
            self._powers = hashing.powers_of(self._factor, most)
            self._inverses = hashing.powers_of(pow(self._factor, -1, 1 << 64), most)
        keys = hashing.polynomials(given, starts, stops, self._powers, self._inverses)
        keys ^= keys >> np.uint64(32)
        keys *= _SALT
        keys |= np.uint64(1)
        long = np.flatnonzero(stops - starts > LONGEST)
        keys[long] = 2 * np.arange(len(long)) + 2  # even, as no other is
        return keys

    def _found(self, keys: np.ndarray) -> np.ndarray:
        """The number of each word i64[word], -1 where it is not remembered."""
        at = (keys >> np.uint64(64 - _PLACES_BITS)).view(np.int64)
        there = self._keys.take(at)
        numbers = self._numbers.take(at).astype(np.int64)
        numbers[there == 0] = -1
        left = np.flatnonzero((there != keys) & (there != 0))
        while len(left):  # another word has the place: this one may have the next
            at[left] = (at[left] + 1) & ((1 << _PLACES_BITS) - 1)
            places = at[left]
            there, mine = self._keys.take(places), keys[left]
            numbers[left] = np.where(there == mine, self._numbers.take(places), -1)
            left = left[(there != mine) & (there != 0)]
        return numbers

    def _remember(self, keys: np.ndarray, numbers: np.ndarray) -> None:
        """Puts distinct new words where `_found` looks for them."""
        at = (keys >> np.uint64(64 - _PLACES_BITS)).view(np.int64)
        while len(keys):
            free = self._keys.take(at) == 0
            self._keys[at[free]] = keys[free]  # of two words for one place the last gets it
            got = self._keys.take(at) == keys
            self._numbers[at[got]] = numbers[got]
            keys, numbers, at = keys[~got], numbers[~got], (at[~got] + 1) & ((1 << _PLACES_BITS) - 1)


def blocks(points: np.ndarray) -> Iterator[np.ndarray]:
    """Lines with "\\n" behind each, u32[character], in blocks of at most AT_ONCE; a line that is longer is one by itself."""
    for _, place in hashing.portions(np.flatnonzero(points == END), AT_ONCE):
        yield points[place]


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct key stands first, and which of them each key is. numpy.unique imports numpy.ma, which takes 40 ms."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    which = np.empty(len(keys), np.int64)
    which[order] = np.cumsum(first) - 1
    return order[first], which


def _as_lines(given: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> LaidOut:
    """Words as lines of one word each."""
    lengths = stops - starts
    ends = np.cumsum(lengths + 3) - 1  # of " word \n"
    points = np.full(int(ends[-1]) + 1 if len(ends) else 0, SPACE, np.uint32)
    points[ends] = END
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    points[np.repeat(ends - lengths - 1, lengths) + within] = given[np.repeat(starts, lengths) + within]
    return LaidOut(points, ends, np.ones(len(ends), np.int64))
